//! One Redis for the run, a key prefix for each test, workers, and waiting on signals.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::{
    monitor::Monitor,
    task::Task,
    worker::{builder::WorkerBuilder, context::WorkerContext},
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Service;
use upshot_queue::{
    Connector, Counts, Failure, Job, JobId, Lease, NewJob, QueueName, RedisBackend, RedisOptions, Scrubber,
    State, Stop, WorkerOptions,
};
use upshot_servers::{RedisCluster, RedisServer};

use crate::handles::Queue;

/// Nothing here takes this long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the tests run against: one server, or a cluster of three masters where
/// the environment says so. `make test` does both.
async fn shared_redis() -> String {
    static CLUSTER: OnceCell<RedisCluster> = OnceCell::const_new();
    match std::env::var("UPSHOT_TEST_REDIS").as_deref() {
        Err(_) | Ok("single") => single_redis().await,
        Ok("cluster") => {
            let start = || async {
                let dir = tempfile::tempdir().unwrap().keep();
                let options = upshot_servers::RedisOptions { ephemeral: true, ..Default::default() };
                RedisCluster::start(&dir, options).await.unwrap()
            };
            CLUSTER.get_or_init(start).await.url()
        }
        Ok(other) => panic!("UPSHOT_TEST_REDIS is `{other}`: use single or cluster"),
    }
}

async fn single_redis() -> String {
    static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
    REDIS.get_or_init(own_redis).await.url()
}

/// A Redis of a test's own, to restart, fill or count.
pub async fn own_redis() -> RedisServer {
    let dir = tempfile::tempdir().unwrap().keep();
    let options = upshot_servers::RedisOptions { ephemeral: true, ..Default::default() };
    RedisServer::start_with(&dir, options).await.unwrap()
}

/// A queue of a test's own.
pub struct Fixture {
    pub connector: Connector,
    pub queue: Queue,
    url: String,
    prefix: String,
    finished: AtomicBool,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::on(shared_redis().await)
    }

    /// Always on one server: for tests that stand a proxy in front of it.
    pub async fn single() -> Self {
        Self::on(single_redis().await)
    }

    pub fn on(url: String) -> Self {
        let prefix = format!("t{}", JobId::random());
        let connector = connector(&url, &prefix);
        let queue = Queue::new(&connector, name()).unwrap();
        Self { connector, queue, url, prefix, finished: AtomicBool::new(false) }
    }

    /// Where Redis listens on loopback.
    pub fn port(&self) -> u16 {
        let port = self.url.rsplit(':').next().and_then(|rest| rest.split('/').next());
        port.and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Commands that Redis has run so far, those of scripts included.
    pub async fn commands(&self) -> u64 {
        let info: String = redis::cmd("INFO")
            .arg("stats")
            .query_async(&mut self.connector.connect().unwrap())
            .await
            .unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|n| n.trim().parse().ok()).expect("Redis counts its commands")
    }

    /// The same queue reached over another address.
    pub fn via(&self, url: &str) -> Connector {
        connector(url, &self.prefix)
    }

    pub async fn enqueue(&self, n: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> =
            (0..n).map(|i| NewJob::new(JobId::random(), "test", format!("{i}"))).collect();
        self.queue.enqueue(&jobs).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    }

    /// Waits until the job is as wanted: reads it, and again after each change.
    pub async fn until(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        let mut last = None;
        let waiting = async {
            let mut listener = self.connector.listen().await.unwrap();
            listener.subscribe(self.queue.keys().changes()).await.unwrap();
            loop {
                if let Some(job) = self.queue.job(id).await.unwrap() {
                    if wanted(&job) {
                        return job;
                    }
                    last = Some(job);
                }
                listener.next().await.expect("Redis went away");
            }
        };
        let done = tokio::time::timeout(PATIENCE, waiting).await;
        done.unwrap_or_else(|_| panic!("job {id} did not become what the test waits for; it is {last:?}"))
    }

    pub async fn until_state(&self, id: &JobId, state: State) -> Job {
        self.until(id, |job| job.state == state).await
    }

    /// Waits until this many jobs are in a state.
    pub async fn until_count(&self, state: State, n: u64) {
        self.until_counts(|counts| counts.of(state) == n).await;
    }

    /// Waits until the counts are as wanted: reads them, and again after each change.
    pub async fn until_counts(&self, wanted: impl Fn(&Counts) -> bool) {
        let waiting = async {
            let mut listener = self.connector.listen().await.unwrap();
            listener.subscribe(self.queue.keys().changes()).await.unwrap();
            while !wanted(&self.queue.counts().await.unwrap()) {
                listener.next().await.expect("Redis went away");
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("never what the test waits for: {:?}", self.queue.counts().await);
        }
    }

    /// Waits until a ms of Redis' clock is over.
    pub async fn until_after(&self, ms: i64) {
        let mut conn = self.connector.connect().unwrap();
        loop {
            let (s, us): (i64, i64) = redis::cmd("TIME").query_async(&mut conn).await.unwrap();
            if s * 1000 + us / 1000 > ms {
                return;
            }
        }
    }

    /// Every test ends with this: nothing may be left running or half done.
    pub async fn finish(self) {
        self.finish_after_forgetting(0).await;
    }

    /// The same after the retention has removed jobs.
    pub async fn finish_after_forgetting(self, forgotten: u64) {
        self.finished.store(true, Ordering::Relaxed);
        let counts = self.queue.counts().await.unwrap();
        assert_eq!(counts.of(State::Running), 0, "the test leaves jobs running: {counts:?}");
        let t = |name| counts.transitions(name);
        let stored: u64 = counts.states.iter().sum();
        assert_eq!(t("enqueued"), stored + forgotten, "jobs were lost or doubled: {counts:?}");
        let ended = [
            "succeeded",
            "retried",
            "snoozed",
            "dead",
            "released",
            "crashed",
            "cancelled",
            "parked",
            "partial",
        ];
        let ended: u64 = ended.into_iter().map(t).sum();
        // A job that dies of a crash counts as crashed and as dead; one that is
        // cancelled or parked may not have run.
        let other = t("crashed") + t("cancelled") + t("parked");
        assert!(t("claimed") <= ended && ended <= t("claimed") + other, "claims and ends differ: {counts:?}");
        assert_eq!(self.queue.balance().await.unwrap().drifts(), [], "the books do not balance");
        // A whole pass of the scrubber finds nothing to mend.
        let found = Scrubber::pass(&self.queue.worker).await.unwrap();
        assert_eq!(found.total(), 0, "{found:?}");
    }
}

impl Fixture {
    /// For a test that damaged the queue: the books do not balance.
    pub fn finish_damaged(self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let finished = self.finished.load(Ordering::Relaxed) || std::thread::panicking();
        assert!(finished, "a test must end with `finish()`");
    }
}

fn connector(url: &str, prefix: &str) -> Connector {
    let options = RedisOptions { response_timeout: Duration::from_secs(2), ..RedisOptions::new(url, prefix) };
    Connector::new(options).unwrap()
}

pub fn name() -> QueueName {
    "work".parse().unwrap()
}

/// Options with a short lease, so that a take-over is quick.
pub fn options() -> WorkerOptions {
    WorkerOptions { lease: Duration::from_millis(900), concurrency: 8, ..WorkerOptions::new(name()) }
}

/// A worker that runs beside the test.
pub struct Worker {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    /// Runs a handler: an async function of the job and its lease.
    pub fn start<F, Fut>(connector: &Connector, options: WorkerOptions, handler: F) -> Self
    where
        F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        Self::start_any(connector, options, handler)
    }

    /// The same with any error.
    pub fn start_any<F, Fut, E>(connector: &Connector, options: WorkerOptions, handler: F) -> Self
    where
        F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<Stop> + 'static,
    {
        Self::start_beside(connector, options, move |job, lease, _| handler(job, lease))
    }

    /// The same with a handler that is also given apalis' worker.
    pub fn start_beside<F, Fut, E>(connector: &Connector, options: WorkerOptions, handler: F) -> Self
    where
        F: Fn(Arc<Job>, Lease, WorkerContext) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<Stop> + 'static,
    {
        let stop = CancellationToken::new();
        let connector = connector.clone();
        let monitor = Monitor::new().register(move |_| {
            let handler = handler.clone();
            let service = Beside(handler);
            let backend = RedisBackend::new(&connector, options.clone()).unwrap();
            WorkerBuilder::new(backend.worker()).backend(backend).build(service)
        });
        let stopped = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            let signal = async move {
                stopped.await;
                Ok(())
            };
            monitor.run_with_signal(signal).await.unwrap();
        });
        Self { stop, running }
    }

    /// Begins a stop in good order, as apalis does.
    pub fn tell(&self) {
        self.stop.cancel();
    }

    /// Ends as if its process was killed.
    pub async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|error| error.is_cancelled()), "the worker had ended");
    }

    /// Stops in good order.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("the worker did not stop").unwrap();
    }
}

/// A handler that is also given apalis' worker.
#[derive(Clone)]
struct Beside<F>(F);

impl<F, Fut, E> Service<Task<Arc<Job>>> for Beside<F>
where
    F: Fn(Arc<Job>, Lease, WorkerContext) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, E>> + Send,
    E: Into<Stop>,
{
    type Response = Result<Value, Stop>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Result<Value, Stop>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> Self::Future {
        let run = self.0.clone();
        async move {
            let lease = task.data().get::<Lease>().expect("a lease").clone();
            let worker = task.data().get::<WorkerContext>().expect("a worker").clone();
            Ok(run(task.args, lease, worker).await.map_err(Into::into))
        }
        .boxed()
    }
}
