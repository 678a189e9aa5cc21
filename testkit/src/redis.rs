//! A private Redis for the tests of one process, and an executor on it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use upshot_executor::{Executor, Jobs};
use upshot_queue::{Client, Connector, Job, JobId, Operator, QueueName, State};
use upshot_runtime::{Health, Settings, settings::QueueSettings};
use upshot_servers::{RedisOptions, RedisServer};

use crate::wait;

/// One test's own part of the process's Redis: keys under a prefix of its own.
#[derive(Debug)]
pub struct TestRedis {
    /// Settings that name it, with the test's queue.
    pub settings: Settings,
    /// Connections to it.
    pub connector: Connector,
    /// The test's queue.
    pub queue: Client,
}

/// The Redis that the tests of a process share, each under a prefix of its own. It starts at first
/// use, and ends with the process.
pub async fn shared_redis() -> &'static RedisServer {
    static SERVER: OnceCell<RedisServer> = OnceCell::const_new();
    SERVER.get_or_init(own_redis).await
}

/// A Redis of a test's own, to which the test may do anything.
pub async fn own_redis() -> RedisServer {
    // The services' users may use any prefix: each test has its own.
    let services = Some("*".to_owned());
    let options = RedisOptions { ephemeral: true, services, ..RedisOptions::default() };
    // The server removes the folder when it ends.
    RedisServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap()
}

impl TestRedis {
    /// A part with a queue of this name.
    pub async fn new(queue: &str) -> Self {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let url = shared_redis().await.url();
        Self::on(&url, &format!("test-{}", TAKEN.fetch_add(1, Ordering::Relaxed)), queue)
    }

    /// The same on a server of the test's own.
    pub fn on(url: &str, prefix: &str, queue: &str) -> Self {
        let name: QueueName = queue.parse().unwrap();
        let mut settings = Settings::default();
        settings.redis.url = url.into();
        settings.redis.prefix = prefix.to_owned();
        settings.queues = BTreeMap::from([(name.clone(), QueueSettings::default())]);
        let connector = Connector::new(settings.redis.options()).unwrap();
        let queue = Client::new(&connector, name).unwrap();
        Self { settings, connector, queue }
    }

    /// The queue, for an operator.
    pub fn operator(&self) -> Operator {
        Operator::new(self.queue.clone())
    }

    /// Waits until a job is in a state.
    pub async fn until(&self, id: &JobId, state: State) -> Job {
        wait::until(&self.connector, &self.queue, id, |job| job.state == state).await
    }

    /// Starts an executor in this process.
    pub async fn worker(&self, jobs: Jobs) -> Worker {
        Worker::start(&self.settings, jobs).await
    }

    /// Every test ends with this, after its workers have stopped: no job may be left running.
    pub async fn finish(self) {
        let counts = self.queue.counts().await.unwrap();
        assert_eq!(counts.of(State::Running), 0, "the test leaves jobs running: {counts:?}");
    }
}

/// An executor in this process.
#[derive(Debug)]
pub struct Worker {
    stop: CancellationToken,
    running: JoinHandle<Result<(), upshot_executor::Error>>,
}

impl Worker {
    /// Starts it.
    pub async fn start(settings: &Settings, jobs: Jobs) -> Self {
        let executor = Executor::new(settings, Health::default(), jobs).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(executor.run(stop.clone()));
        Self { stop, running }
    }

    /// Tells it to stop, and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        wait::within("the executor stops", self.running).await.unwrap().unwrap();
    }
}
