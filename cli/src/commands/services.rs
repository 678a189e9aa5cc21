//! `upshot bridge`, `upshot executor`, `upshot api`: one service each.

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use upshot_api::Api;
use upshot_bridge::Bridge;
use upshot_executor::{Executor, Jobs};
use upshot_runtime::{
    Health, Settings, amqp,
    health::{DURABILITY, ENQUEUE, REDIS, watch_redis_of_bridge},
    settings::Durability,
    telemetry,
};

use super::{private, stop};
use crate::exit::Exit;

/// Runs the bridge until the stop.
pub async fn bridge(settings: Settings) -> anyhow::Result<()> {
    let (stop, metrics) = start(&settings, true)?;
    let health = needed_by_bridge(&settings);
    let bridge = Bridge::new(&settings, health.clone())?;
    let connector = upshot_queue::Connector::new(settings.redis.options())?;
    tokio::spawn(watch_redis_of_bridge(connector, health.clone(), settings.redis.durability));
    serve_probes(&settings, health, metrics, &stop).await?;
    Box::pin(stop::within("bridge", &stop, stop::SERVICE, bridge.run(stop.clone()))).await;
    Ok(())
}

/// What a bridge waits for. If `redis.durability` demands more than taking a job, the bridge
/// acknowledges nothing before Redis is seen to do it.
pub(super) fn needed_by_bridge(settings: &Settings) -> Health {
    match settings.redis.durability {
        Durability::Always => {
            Health::needing(&["intake", "confirmations", "rabbitmq", "topology", REDIS, ENQUEUE, DURABILITY])
        }
        Durability::EverySec | Durability::Replicas => {
            Health::needing(&["intake", "confirmations", "rabbitmq", "topology", REDIS, ENQUEUE])
        }
    }
}

/// Runs an executor until the stop.
pub async fn executor(settings: Settings, jobs: Jobs) -> anyhow::Result<()> {
    let (stop, metrics) = start(&settings, false)?;
    private::keep_files(&settings)?;
    // What the program sets up may add parts.
    let health = Health::needing(&[REDIS]);
    serve_probes(&settings, health.clone(), metrics, &stop).await?;
    let executor = tokio::select! {
        executor = Executor::new(&settings, health, jobs) => executor?,
        // Setting up may take long: a host that does not answer.
        () = stop.cancelled() => return Ok(()),
    };
    let limit = stop::of_executor(&settings);
    Ok(stop::within("executor", &stop, limit, Box::pin(executor.run(stop.clone())))
        .await
        .unwrap_or(Ok(()))?)
}

/// Runs the API until the stop.
pub async fn api(settings: Settings) -> anyhow::Result<()> {
    let (stop, metrics) = start(&settings, true)?;
    let api = Api::new(&settings, Health::needing(&["rabbitmq", "redis", "topology"]), metrics)?;
    let listen = &settings.api.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("api.listen is `{listen}`: cannot listen there"))?;
    tracing::info!(address = %listener.local_addr()?, "API listens");
    let probes = probes_listener(&settings).await?;
    let serving = api.serve_with_probes(listener, probes, stop.clone());
    stop::within("api", &stop, stop::SERVICE, serving).await;
    Ok(())
}

/// Sets up logs, metrics and signals. Refuses to continue without the addresses.
fn start(settings: &Settings, amqp: bool) -> anyhow::Result<(CancellationToken, PrometheusHandle)> {
    telemetry::log(&settings.log)?;
    if amqp && settings.amqp.url.is_empty() {
        let why = "amqp.url is empty: set UPSHOT_AMQP_URL=amqp://user:password@host:5672/vhost, or run `upshot up`, which starts a private RabbitMQ";
        return Err(Exit::Usage.because(why));
    }
    if settings.redis.url.is_empty() {
        let why = "redis.url is empty: set UPSHOT_REDIS_URL=redis://host:6379/0, or run `upshot up`, which starts a private Redis";
        return Err(Exit::Usage.because(why));
    }
    if amqp {
        amqp::Address::from(&settings.amqp).check_files()?;
    }
    Ok((stop::on_signal()?, telemetry::metrics()?))
}

/// Serves `/healthz`, `/readyz` and `/metrics` if the settings ask for them.
async fn serve_probes(
    settings: &Settings,
    health: Health,
    metrics: PrometheusHandle,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(listener) = probes_listener(settings).await? {
        tokio::spawn(upshot_api::serve_probes(listener, health, metrics, stop.clone()));
    }
    Ok(())
}

/// The listener for `/healthz`, `/readyz` and `/metrics`, if the settings ask for one.
pub(super) async fn probes_listener(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let listen = &settings.probes.listen;
    if listen.is_empty() {
        return Ok(None);
    }
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("probes.listen is `{listen}`: cannot listen there"))?;
    tracing::info!(address = %listener.local_addr()?, "probes and metrics are served");
    Ok(Some(listener))
}
