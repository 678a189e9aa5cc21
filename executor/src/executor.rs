//! The service: runs an apalis worker for each queue until the stop.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use apalis_core::{
    monitor::Monitor,
    worker::{builder::WorkerBuilder, event::Event},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use upshot_queue::{Client, Connector, QueueName, RedisBackend, WorkerOptions};
use upshot_runtime::{Health, Settings, health::watch_redis};

use crate::{
    build, configuration,
    expect::{self, Expect},
    host::{ExecutorHost, Host},
    registry::{Dispatch, Registry, Twice},
    schedules::Scheduler,
    setup::{Beside, Jobs, SetupError},
};

/// Why an executor cannot be set up. A running executor does not fail; it waits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Redis URL cannot be used.
    #[error("redis.url cannot be used: {0}")]
    Redis(#[from] redis::RedisError),
    /// A queue's worker cannot be set up.
    #[error(transparent)]
    Queue(#[from] upshot_queue::Error),
    /// The program has a job of a kind that is Upshot's own.
    #[error(transparent)]
    Twice(#[from] Twice),
    /// The program's own state cannot be set up.
    #[error(transparent)]
    Setup(SetupError),
    /// A bug.
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
    host: Arc<dyn Host>,
    /// The queues of the settings, to watch.
    queues: Vec<Client>,
    /// Of each queue that it works on.
    schedulers: Vec<Scheduler>,
    beside: Vec<Beside>,
    health: Health,
}

impl Executor {
    /// Checks the settings and sets up the states of the jobs.
    ///
    /// # Errors
    /// The invalid part, and why.
    pub async fn new(settings: &Settings, health: Health, mut jobs: Jobs) -> Result<Self, Error> {
        if expect::is_wanted(settings) {
            let state = jobs.state(());
            jobs.job::<Expect>(&state)?;
        }
        let connector = Connector::new(settings.redis.options())?;
        let connection = connector.connect()?;
        for (name, queue) in settings.worked_queues() {
            // Refused here instead of in the middle of a restart.
            RedisBackend::new(&connector, queue.worker_options(name))?;
            health.need(&configuration::part(name));
        }
        // Includes queues of other executors, because their jobs may be alive.
        let queue =
            |name: &QueueName| Client::with_connection(connection.clone(), connector.prefix(), name.clone());
        let queues = settings.queues.keys().map(queue).collect();
        let (registry, beside) = jobs.prepare(settings, queues, &health).await.map_err(Error::Setup)?;
        crate::metrics::describe(registry.names());
        let client = |name: &QueueName| Ok((name.clone(), Client::new(&connector, name.clone())?));
        let queues: BTreeMap<QueueName, Client> =
            settings.queues.keys().map(client).collect::<Result<_, Error>>()?;
        let watched = queues.values().cloned().collect();
        let scheduler = |(name, _): (&QueueName, _)| {
            let queue = queues.get(name)?.clone();
            Some(Scheduler::new(queue, settings.schedules_of(name), health.clone()))
        };
        let schedulers = settings.worked_queues().filter_map(scheduler).collect();
        let host = Arc::new(ExecutorHost { queues });
        let (settings, registry) = (settings.clone(), Arc::new(registry));
        Ok(Self { settings, connector, registry, host, queues: watched, schedulers, beside, health })
    }

    /// Runs until `stop` fires. Then claims end, handlers learn of the stop (`Context::stopping`),
    /// running jobs may finish within the grace period, and the rest is handed back.
    ///
    /// # Errors
    /// [`Error::WorkersEnded`] when workers end without a stop.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let grace = self.settings.executor.shutdown_grace;
        let kinds = self.registry.kinds(build::id().await);
        let (interrupt, abandon) = (CancellationToken::new(), CancellationToken::new());
        // The monitor would drop its workers, and their jobs would wait until their leases expire.
        // So the jobs are handed back before that.
        let mut monitor = Monitor::new().shutdown_timeout(grace + Duration::from_secs(1));
        let mut followed = Vec::new();
        for (name, queue) in self.settings.worked_queues() {
            let following = watch::Sender::default();
            let report =
                configuration::report(configuration::part(name), following.subscribe(), self.health.clone());
            followed.push(AbortOnDropHandle::new(tokio::spawn(report)));
            let connector = self.connector.clone();
            let dispatch = Dispatch { registry: Arc::clone(&self.registry), host: Arc::clone(&self.host) };
            let (name, queue, interrupt) = (name.clone(), queue.clone(), interrupt.clone());
            let (stop, abandon, kinds) = (stop.clone(), abandon.clone(), kinds.clone());
            let timeouts = self.registry.timeouts().clone();
            monitor = monitor.register(move |_| {
                let options = WorkerOptions {
                    stop: stop.clone(),
                    interrupt: interrupt.clone(),
                    abandon: abandon.clone(),
                    kinds: Some(kinds.clone()),
                    timeout_by_kind: timeouts.clone(),
                    following: following.clone(),
                    ..queue.worker_options(&name)
                };
                let concurrency = options.concurrency;
                #[expect(clippy::expect_used, reason = "the same options were accepted in `new`")]
                let backend = RedisBackend::new(&connector, options).expect("accepted before");
                let worker = format!("{name}-{}", backend.worker());
                tracing::info!(queue = %name, worker = backend.worker(), concurrency, "working");
                WorkerBuilder::new(worker).backend(backend).build(dispatch.clone())
            });
        }
        let monitor = monitor.on_event(|worker, event| {
            if let Event::Error(error) = event {
                tracing::error!(worker = worker.name(), %error, "a job was not settled");
            }
        });
        let watch = watch_redis(self.connector.clone(), self.health.clone());
        let due = upshot_ledger::watch(self.queues.drain(..).collect::<Vec<_>>());
        let _due = AbortOnDropHandle::new(tokio::spawn(due));
        let schedulers =
            self.schedulers.drain(..).map(|each| AbortOnDropHandle::new(tokio::spawn(each.run())));
        let schedulers: Vec<_> = schedulers.collect();
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
        let beside: Vec<_> = self
            .beside
            .drain(..)
            .map(|run| AbortOnDropHandle::new(tokio::spawn(run(stop.clone()))))
            .collect();
        let work = async {
            // apalis does not say why a worker ended; only whether we wanted it.
            let _ = monitor.run_with_signal(signal).await;
        };
        tokio::select! {
            () = work => {}
            () = watch => {}
        }
        drop((beside, followed, schedulers));
        if stop.is_cancelled() { Ok(()) } else { Err(Error::WorkersEnded) }
    }
}

/// A Redis that answers has at least this long, even with a short grace.
const LEAST_TO_WRITE: Duration = Duration::from_millis(500);

/// The part of the grace for handing back running jobs, so that a silent Redis does not delay the
/// stop beyond the grace.
fn time_to_write(grace: Duration) -> Duration {
    (grace / 10).min(Duration::from_secs(2))
}
