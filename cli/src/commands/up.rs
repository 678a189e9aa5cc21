//! `upshot up`: everything in one process.

use std::{io, path::Path, time::Instant};

use anyhow::Context;
use futures::future::OptionFuture;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use upshot_api::Api;
use upshot_bridge::Bridge;
use upshot_executor::{Executor, Jobs};
use upshot_queue::Connector;
use upshot_runtime::{Settings, amqp, health::watch_redis_of_bridge, settings::Durability, telemetry};
use upshot_servers::{RabbitOptions, RabbitServer, RedisOptions, RedisServer, Service, pattern_of};

use super::{
    private,
    services::{needed_by_bridge, probes_listener},
    stop,
};
use crate::{output::Output, running::Running};

const VHOST: &str = "upshot";

/// Runs bridge, executor and API until the stop, with private servers where the settings name no
/// others.
pub async fn run(settings: Settings, jobs: Jobs, out: &mut Output) -> anyhow::Result<()> {
    telemetry::log(&settings.log)?;
    let metrics = telemetry::metrics()?;
    let stop = stop::on_signal()?;
    private::keep(&settings)?;
    let dir = Path::new(&settings.data_dir);

    let (rabbit, redis) = tokio::try_join!(
        private_rabbit(settings.amqp.url.is_empty(), dir),
        private_redis(settings.redis.url.is_empty(), &settings, dir)
    )?;
    // Each service logs in as its own user, which may do only what the service needs.
    let of = |service: Service| {
        let mut settings = settings.clone();
        if let Some(rabbit) = &rabbit {
            // A handler may publish events.
            let service = if service == Service::Executor { Service::Producer } else { service };
            settings.amqp.url = rabbit.url_of(service, VHOST).into();
        }
        if let Some(redis) = &redis {
            settings.redis.url = redis.url_of(service).into();
        }
        settings
    };
    let owner = {
        let mut settings = settings.clone();
        if let Some(redis) = &redis {
            settings.redis.url = redis.url().into();
        }
        settings
    };

    amqp::Address::from(&settings.amqp).check_files()?;
    let health = needed_by_bridge(&settings);
    // Only the owner of a Redis may ask it how it writes to the disk.
    let watch = watch_redis_of_bridge(
        Connector::new(owner.redis.options())?,
        health.clone(),
        settings.redis.durability,
    );
    tokio::spawn(watch);
    let bridge = Bridge::new(&of(Service::Bridge), health.clone())?;
    let of_executor = of(Service::Executor);
    let executor = tokio::select! {
        executor = Executor::new(&of_executor, health.clone(), jobs) => executor?,
        // Setting up may take long; the private servers end with this process.
        () = stop.cancelled() => return Ok(()),
    };
    let listener = listen(&settings.api.listen).await?;
    let address = listener.local_addr()?;
    let api = Api::new(&of(Service::Api), health.clone(), metrics)?;
    // One process has one set of probes and metrics.
    let probes = probes_listener(&settings).await?;
    let operator = of(Service::Operator);

    // The services end on a stop. A service that ends by itself, for any reason, stops the others
    // in good order.
    let bridge = together(&stop, bridge.run(stop.clone()));
    let executor = together(&stop, executor.run(stop.clone()));
    let api = together(&stop, api.serve_with_probes(listener, probes, stop.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = health.wait_for(&["intake", "confirmations", "rabbitmq", "redis", "topology"]) => {
            let api = format!("http://{address}");
            Running {
                api: api.clone(),
                amqp: operator.amqp.url.expose().to_owned(),
                redis: operator.redis.url.expose().to_owned(),
                pid: std::process::id(),
            }
            .write(&settings)?;
            tracing::info!(%address, "Upshot is up");
            let told = out.answer(&json!({ "api": api }), |page| {
                page.line(format!("Upshot is up. API: {api}  (Ctrl-C stops it)"));
            });
            // Services continue even if the note that they are up cannot be written.
            if let Err(error) = told {
                tracing::warn!(%error, "standard output does not take the note that Upshot is up");
            }
        }
    }
    let stopping = async {
        stop.cancelled().await;
        Instant::now()
    };
    let (stopped, bridge, executor, api) = tokio::join!(
        stopping,
        stop::within("bridge", &stop, stop::SERVICE, bridge),
        stop::within("executor", &stop, stop::of_executor(&settings), executor),
        stop::within("api", &stop, stop::SERVICE, api)
    );
    Running::remove(&settings);
    let servers = async {
        let rabbit = OptionFuture::from(rabbit.map(RabbitServer::stop));
        let redis = OptionFuture::from(redis.map(RedisServer::stop));
        let (rabbit, redis) = tokio::join!(rabbit, redis);
        rabbit.unwrap_or(Ok(())).and(redis.unwrap_or(Ok(())))
    };
    let limit = stop::of_servers(&settings, stopped.elapsed());
    // Watchdogs end servers that take longer.
    stop::within("private servers", &stop, limit, servers).await.transpose()?;
    bridge.transpose().context("the bridge ended early")?;
    executor.transpose().context("the executor ended early")?.unwrap_or(Ok(()))?;
    api.transpose().context("the API ended early")?;
    Ok(())
}

fn together<T: Send + 'static>(
    stop: &CancellationToken,
    service: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let taking_along = stop.clone().drop_guard();
    tokio::spawn(async move {
        // Fires when the service has ended, even by a panic.
        let _taking_along = taking_along;
        service.await
    })
}

async fn private_rabbit(wanted: bool, dir: &Path) -> anyhow::Result<Option<RabbitServer>> {
    if !wanted {
        return Ok(None);
    }
    tracing::info!("starting a private RabbitMQ");
    let options = RabbitOptions { vhosts: vec![VHOST.to_owned()], ..RabbitOptions::default() };
    Ok(Some(RabbitServer::start(&dir.join("rabbitmq"), options).await?))
}

async fn private_redis(wanted: bool, settings: &Settings, dir: &Path) -> anyhow::Result<Option<RedisServer>> {
    if !wanted {
        return Ok(None);
    }
    tracing::info!("starting a private Redis");
    let always_fsync = settings.redis.durability == Durability::Always;
    let services = Some(pattern_of(&settings.redis.prefix));
    let options = RedisOptions { always_fsync, own_password: true, services, ..RedisOptions::default() };
    Ok(Some(RedisServer::start_with(&dir.join("redis"), options).await?))
}

/// Listens where the settings say, or on a free port if that port is taken.
async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(address, "taken by another program: the API listens on a free port instead");
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            Ok(TcpListener::bind(format!("{host}:0")).await?)
        }
        Err(error) => Err(error).with_context(|| format!("api.listen is `{address}`: cannot listen there")),
    }
}
