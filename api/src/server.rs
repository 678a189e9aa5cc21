//! The API as a service: its addresses, its background work, its end.

use std::time::Duration;

use axum::{Router, serve::ListenerExt};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};
use upshot_shared::{Health, Settings, amqp, health::watch_redis};

use crate::{Error, routes, state::Shared, upkeep};

/// How long requests in flight may take after the stop.
const GRACE: Duration = Duration::from_secs(10);

/// The HTTP API.
pub struct Api {
    state: Shared,
}

impl Api {
    /// An API of these settings. It connects to nothing yet.
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
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
        let watched = (self.state.connector.clone(), self.state.health.clone());
        let background = [
            AbortOnDropHandle::new(tokio::spawn(watch_redis(watched.0, watched.1))),
            AbortOnDropHandle::new(tokio::spawn(self.state.live.clone().run())),
            AbortOnDropHandle::new(tokio::spawn(watch_rabbitmq(self.state.clone()))),
            AbortOnDropHandle::new(tokio::spawn(upkeep::run(self.state.metrics.clone()))),
        ];
        // Small events of a stream must not wait for more to come.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection without TCP_NODELAY");
            }
        });
        let streams = self.state.stop.clone();
        let stopping = stop.clone();
        let serving = axum::serve(listener, self.router()).with_graceful_shutdown(async move {
            stopping.cancelled().await;
            streams.cancel();
        });
        let result = tokio::select! {
            served = serving => served.map_err(Error::Listener),
            () = late(stop.cancelled_owned()) => {
                tracing::warn!("requests in flight were cut off {GRACE:?} after the stop");
                Ok(())
            }
        };
        drop(background);
        self.state.publisher.close().await;
        result
    }
}

async fn late(stop: WaitForCancellationFutureOwned) {
    stop.await;
    tokio::time::sleep(GRACE).await;
}

/// Looks after RabbitMQ and reports.
async fn watch_rabbitmq(state: Shared) {
    let publisher = state.publisher.clone();
    let seen = |depths| {
        state.depths.send_replace(depths);
    };
    amqp::watch(publisher, state.health.clone(), "rabbitmq", seen).await;
}
