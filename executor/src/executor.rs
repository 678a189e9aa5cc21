//! The service: an apalis worker per queue until it is stopped.

use std::{io, sync::Arc, time::Duration};

use apalis_core::{
    monitor::Monitor,
    worker::{builder::WorkerBuilder, event::Event},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use upshot_queue::{Connector, Queue, QueueName, RedisBackend, WorkerOptions};
use upshot_runtime::{Health, Settings, health::watch_redis};

use crate::{
    build, handlers,
    limits::{self, OfQueue},
    mail::{self, Keeper},
    registry::Registry,
    store::{self, Sweeper, Watch},
};

/// Why an executor cannot be set up. Once it runs it does not fail, it waits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Redis URL cannot be used.
    #[error("redis.url cannot be used: {0}")]
    Redis(#[from] redis::RedisError),
    /// A queue's worker cannot be set up.
    #[error(transparent)]
    Queue(#[from] upshot_queue::queue::Error),
    /// Files cannot be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Mail cannot be sent.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// Templates cannot be used.
    #[error(transparent)]
    Templates(#[from] upshot_document::Error),
    /// The seller on invoices is incomplete.
    #[error("[seller]: {0}")]
    Seller(#[from] toml::de::Error),
    /// A fault of ours.
    #[error(
        "the workers ended without having been told to; their jobs are taken over when their leases run out"
    )]
    WorkersEnded,
}

/// The executor.
pub struct Executor {
    settings: Settings,
    connector: Connector,
    registry: Arc<Registry>,
    limits: Vec<OfQueue>,
    /// What works beside the built-in handlers.
    beside: Option<(Sweeper, Keeper, Watch)>,
    health: Health,
}

impl Executor {
    /// Checks the settings and sets up the built-in handlers.
    ///
    /// # Errors
    /// What cannot be used, and why.
    pub fn new(settings: &Settings, health: Health) -> Result<Self, Error> {
        let connector = Connector::new(settings.redis.options())?;
        // Also of queues that others work on: their jobs may be alive.
        let conn = connector.connect()?;
        let queue = |name: &QueueName| Queue::with_connection(conn.clone(), connector.prefix(), name.clone());
        let queues = settings.queues.keys().map(queue).collect();
        let handlers::All { registry, sweeper, keeper, watch } = handlers::all(settings, queues, &health)?;
        let beside = Some((sweeper, keeper, watch));
        Ok(Self { beside, ..Self::with_handlers(settings, health, registry)? })
    }

    /// The same with handlers of one's own.
    ///
    /// # Errors
    /// What cannot be used, and why.
    pub fn with_handlers(settings: &Settings, health: Health, registry: Registry) -> Result<Self, Error> {
        let connector = Connector::new(settings.redis.options())?;
        let mut limits = Vec::new();
        for (name, queue) in settings.worked_queues() {
            let of_queue = queue.limits.iter().map(|each| (each.key.clone(), each.limit())).collect();
            limits.push((Queue::new(&connector, name.clone())?, of_queue));
            // Refused now rather than in the middle of a restart.
            RedisBackend::new(&connector, queue.worker_options(name))?;
        }
        crate::metrics::describe(registry.names());
        let (settings, registry) = (settings.clone(), Arc::new(registry));
        Ok(Self { settings, connector, registry, limits, beside: None, health })
    }

    /// Runs until `stop` fires: then nothing more is claimed, handlers are told
    /// (`Lease::stopping`), what runs is finished within the grace period, and
    /// the rest is handed back.
    ///
    /// # Errors
    /// [`Error::WorkersEnded`] when they end without having been told to.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let grace = self.settings.executor.shutdown_grace;
        let kinds = self.registry.kinds(build::id().await);
        let (interrupt, abandon) = (CancellationToken::new(), CancellationToken::new());
        // The monitor would drop its workers, and their jobs would wait for their
        // leases to run out; so they are handed back before it loses patience.
        let mut monitor = Monitor::new().shutdown_timeout(grace + Duration::from_secs(1));
        for (name, queue) in self.settings.worked_queues() {
            let (connector, registry) = (self.connector.clone(), Arc::clone(&self.registry));
            let (name, queue, interrupt) = (name.clone(), queue.clone(), interrupt.clone());
            let (stop, abandon, kinds) = (stop.clone(), abandon.clone(), kinds.clone());
            monitor = monitor.register(move |_| {
                let options = WorkerOptions {
                    stop: stop.clone(),
                    interrupt: interrupt.clone(),
                    abandon: abandon.clone(),
                    kinds: Some(kinds.clone()),
                    ..queue.worker_options(&name)
                };
                let concurrency = options.concurrency;
                #[expect(clippy::expect_used, reason = "the same options were accepted in `with_handlers`")]
                let backend = RedisBackend::new(&connector, options).expect("accepted before");
                let worker = format!("{name}-{}", backend.worker());
                tracing::info!(queue = %name, worker = backend.worker(), concurrency, "working");
                WorkerBuilder::new(worker).backend(backend).build(Registry::service(&registry))
            });
        }
        let monitor = monitor.on_event(|worker, event| {
            if let Event::Error(error) = event {
                tracing::error!(worker = worker.name(), %error, "a job was not settled");
            }
        });
        let watch = watch_redis(self.connector.clone(), self.health.clone());
        let stopped = stop.clone();
        let signal = async move {
            stopped.cancelled().await;
            tokio::spawn(async move {
                let writing = time_to_write(grace);
                tokio::time::sleep(grace.saturating_sub(writing)).await;
                interrupt.cancel();
                tokio::time::sleep(writing.max(LEAST_TO_WRITE)).await;
                abandon.cancel();
            });
            io::Result::Ok(())
        };
        let beside = self.beside.take().map(|(sweeper, keeper, watch)| {
            [
                AbortOnDropHandle::new(tokio::spawn(sweeper.run(stop.clone()))),
                AbortOnDropHandle::new(tokio::spawn(keeper.run(stop.clone()))),
                AbortOnDropHandle::new(tokio::spawn(watch.run(stop.clone()))),
            ]
        });
        let work = async {
            limits::set(&self.limits, &stop).await;
            // apalis does not say why a worker ended; only whether we wanted it.
            let _ = monitor.run_with_signal(signal).await;
        };
        tokio::select! {
            () = work => {}
            () = watch => {}
        }
        drop(beside);
        if stop.is_cancelled() { Ok(()) } else { Err(Error::WorkersEnded) }
    }
}

/// A Redis that answers has this long, however short the grace is.
const LEAST_TO_WRITE: Duration = Duration::from_millis(500);

/// The part of the grace that is left to hand back what still runs: a Redis that does not answer
/// must not hold up the stop beyond the grace.
fn time_to_write(grace: Duration) -> Duration {
    (grace / 10).min(Duration::from_secs(2))
}
