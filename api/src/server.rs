//! The API as a service: its addresses, its background work, its shutdown.

use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};
use upshot_runtime::{Health, Settings, amqp, health::watch_redis};

use crate::{
    Error,
    access::{self, Mode, acts},
    alarms, layers, operations, routes,
    serve::{Patience, serve},
    state::Shared,
    tally, upkeep,
};

/// How long requests in flight may take after the stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long Redis may take to hear that this process looks at alarms no more.
const RELEASE: Duration = Duration::from_secs(1);

/// Connections for `/healthz`, `/readyz` and `/metrics` on a listener of their own.
const PROBERS: usize = 64;

/// The HTTP API.
pub struct Api {
    state: Shared,
}

impl Api {
    /// An API with these settings. It does not connect yet.
    ///
    /// # Errors
    /// When a setting cannot be used; the error names it.
    pub fn new(settings: &Settings, health: Health, metrics: PrometheusHandle) -> Result<Self, Error> {
        Ok(Self { state: Shared::new(settings, health, metrics)? })
    }

    /// The addresses. Progress and readiness need the background work of
    /// [`Self::serve`].
    pub fn router(&self) -> Router {
        routes::router(self.state.clone())
    }

    /// Serves until `stop` fires. Streams end then; other requests in flight
    /// have 10 s to finish.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        self.serve_with_probes(listener, None, stop).await;
    }

    /// The same, and serves `/healthz`, `/readyz` and `/metrics` on a listener of their own, if there
    /// is one: that of `probes.listen`.
    pub async fn serve_with_probes(
        self,
        listener: TcpListener,
        apart: Option<TcpListener>,
        stop: CancellationToken,
    ) {
        let watched = (self.state.connector.clone(), self.state.health.clone());
        let background = [
            AbortOnDropHandle::new(tokio::spawn(watch_redis(watched.0, watched.1))),
            AbortOnDropHandle::new(tokio::spawn(self.state.live.clone().run())),
            AbortOnDropHandle::new(tokio::spawn(tally::run(self.state.clone()))),
            AbortOnDropHandle::new(tokio::spawn(watch_rabbitmq(self.state.clone()))),
            AbortOnDropHandle::new(tokio::spawn(upkeep::run(self.state.metrics.clone()))),
            AbortOnDropHandle::new(tokio::spawn(acts::write_suppressed(self.state.clone()))),
            AbortOnDropHandle::new(tokio::spawn(upshot_ledger::audit(
                self.state.queues.values().cloned().collect::<Vec<_>>(),
                self.state.unexplained.clone(),
            ))),
            AbortOnDropHandle::new(tokio::spawn(upshot_ledger::watch(
                self.state.queues.values().cloned().collect::<Vec<_>>(),
            ))),
        ];
        let walking = AbortOnDropHandle::new(tokio::spawn(operations::run(self.state.clone())));
        let looking = AbortOnDropHandle::new(tokio::spawn(alarms::run(self.state.clone())));
        if self.state.mode == Mode::Off {
            warn_beyond_loopback(&listener);
        }
        let port = listener.local_addr().ok().map(|address| address.port());
        let first = AbortOnDropHandle::new(tokio::spawn(access::first::show(self.state.clone(), port)));
        let _apart = apart.map(|listener| {
            let serving = serve_alone(listener, routes::probes_of_api(self.state.clone()), stop.clone());
            AbortOnDropHandle::new(tokio::spawn(serving))
        });
        let probes = routes::probes_above_bound(&self.state);
        let streams = self.state.stop.clone();
        let stopping = stop.clone();
        let drain = async move {
            stopping.cancelled().await;
            streams.cancel();
        };
        tokio::select! {
            () = serve(listener, self.router(), probes, self.state.connections, Patience::default(), drain) => {}
            () = late(stop.cancelled_owned()) => {
                tracing::warn!("requests in flight were cut off {GRACE:?} after the stop");
            }
        }
        // It lets another process look.
        let _ = tokio::time::timeout(RELEASE, looking).await;
        let _ = tokio::time::timeout(RELEASE, walking).await;
        drop((background, first));
        self.state.publisher.close().await;
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` alone, for a service without an API, until
/// `stop` fires.
pub async fn serve_probes(
    listener: TcpListener,
    health: Health,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) {
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(upkeep::run(metrics.clone())));
    serve_alone(listener, routes::probes(health, metrics), stop).await;
}

/// Serves these addresses and no others.
async fn serve_alone(listener: TcpListener, probes: Router, stop: CancellationToken) {
    let router = layers::around(probes.clone().fallback(layers::unknown_address));
    serve(listener, router, probes, PROBERS, Patience::default(), stop.cancelled_owned()).await;
}

fn warn_beyond_loopback(listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) if !address.ip().is_loopback() => tracing::warn!(
            %address,
            "other machines reach the API, and it asks for no authentication, as `api.allow_unauthenticated` says: a \
             proxy must authenticate every request"
        ),
        _ => {}
    }
}

async fn late(stop: WaitForCancellationFutureOwned) {
    stop.await;
    tokio::time::sleep(GRACE).await;
}

/// Watches RabbitMQ and reports.
async fn watch_rabbitmq(state: Shared) {
    let publisher = state.publisher.clone();
    let seen = |depths| {
        state.depths.send_replace(depths);
    };
    amqp::watch(publisher, state.health.clone(), "rabbitmq", seen).await;
}
