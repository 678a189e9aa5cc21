//! What a handler may say besides success and failure, in an executor on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "handlers/sweep.rs"]
mod sweep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use apalis_core::task::data::Data;
use futures::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use upshot_executor::{Executor, Registry, Steps};
use upshot_queue::{Client, Connector, Job, JobId, Lease, NewJob, Park, QueueName, Release, State, Stop};
use upshot_servers::{Proxy, RedisOptions, RedisServer};
use upshot_runtime::{Health, Settings, settings::QueueSettings};
use upshot_shared::{Evidence, Outcome};

/// Nothing here takes this long, and no grace is over by then.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
struct Order {
    number: u32,
}

/// A handler of one's own, and what it looks at.
#[derive(Clone)]
struct Shop {
    confirmed: Arc<AtomicBool>,
    /// Says that it ships, and waits for the stop then.
    slow: Option<mpsc::UnboundedSender<()>>,
}

impl Shop {
    fn handler(
        self,
    ) -> impl Fn(Order, Data<Lease>) -> BoxFuture<'static, Result<Outcome, Stop>> + Clone + Send + Sync {
        move |order, lease| {
            let shop = self.clone();
            async move { shop.ship(&order, &lease).await }.boxed()
        }
    }

    async fn ship(&self, order: &Order, lease: &Lease) -> Result<Outcome, Stop> {
        let steps = Steps::new(lease, ["wait", "ship"]);
        steps.run("wait", async || self.wait(order)).await?;
        if let Some(slow) = &self.slow {
            slow.send(())?;
            lease.stopping().cancelled().await;
            return Err(Release::new("the worker stops").into());
        }
        steps.run("ship", async || Ok::<_, Stop>(())).await?;
        Ok(Outcome::achieved("shipped", Evidence::new("parcel", [("order", order.number.to_string())])))
    }

    fn wait(&self, order: &Order) -> Result<(), Stop> {
        if self.confirmed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Park::new(format!("order-{} confirmed", order.number), "the customer has not confirmed")?.into())
    }
}

fn run(settings: &Settings, shop: Shop) -> (CancellationToken, JoinHandle<()>) {
    let registry = Registry::new().handle("order.ship", 1, shop.handler());
    let executor = Executor::with_handlers(settings, Health::default(), registry).unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    (stop, tokio::spawn(async move { executor.run(stopped).await.unwrap() }))
}

/// Waits until the job is in a state: reads it, and again after each change.
async fn until(connector: &Connector, queue: &Client, id: &JobId, state: State) -> Job {
    let waiting = async {
        let mut listener = connector.listen().await.unwrap();
        listener.subscribe(queue.keys().changes()).await.unwrap();
        loop {
            let job = queue.job(id).await.unwrap().unwrap();
            if job.state == state {
                return job;
            }
            listener.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("job {id} was never {state}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_parks_its_job_and_hands_it_back_when_the_executor_stops() {
    let dir = tempfile::tempdir().unwrap().keep();
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    let redis = RedisServer::start_with(&dir, options).await.unwrap();
    let name: QueueName = "shipments".parse().unwrap();
    let mut settings = Settings::default();
    settings.redis.url = redis.url().into();
    settings.queues = [(name.clone(), QueueSettings::default())].into();
    settings.executor.shutdown_grace = 2 * PATIENCE;
    let connector = Connector::new(settings.redis.options()).unwrap();
    let queue = Client::new(&connector, name).unwrap();
    let job = NewJob::new(JobId::random(), "order.ship", r#"{"number": 1042}"#);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();

    let confirmed = Arc::new(AtomicBool::new(false));
    let (slow, mut ships) = mpsc::unbounded_channel();
    let (stop, running) = run(&settings, Shop { confirmed: Arc::clone(&confirmed), slow: Some(slow) });
    let parked = until(&connector, &queue, &job.id, State::Parked).await;
    assert_eq!(parked.attempts, 0);
    assert_eq!(parked.parked.unwrap().need, "wait order-1042 confirmed");

    // First it is true, then the need is met.
    confirmed.store(true, Ordering::Release);
    assert_eq!(queue.meet(&"order-1042 confirmed".parse().unwrap()).await.unwrap().released, 1);
    ships.recv().await.unwrap();
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended.expect("the executor waited for its grace").unwrap();
    let back = queue.job(&job.id).await.unwrap().unwrap();
    assert_eq!((back.state, back.attempts, back.history.len()), (State::Ready, 0, 0));
    assert_eq!(back.changes.last().unwrap().note.as_deref(), Some("the worker stops"));

    let (stop, running) = run(&settings, Shop { confirmed: Arc::default(), slow: None });
    let done = until(&connector, &queue, &job.id, State::Succeeded).await;
    assert_eq!((done.attempts, done.steps.len()), (1, 2), "the first step was not done again");
    stop.cancel();
    running.await.unwrap();
    redis.stop().await.unwrap();
}

/// A stop has to end before the process is killed: Redis is frozen from its beginning on, and a
/// handler does not listen.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_stops_within_its_grace_although_redis_does_not_answer() {
    let dir = tempfile::tempdir().unwrap().keep();
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    let redis = RedisServer::start_with(&dir, options).await.unwrap();
    let port = redis.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::start(port).await.unwrap();
    let name: QueueName = "shipments".parse().unwrap();
    let mut settings = Settings::default();
    settings.redis.url = format!("redis://127.0.0.1:{}/", proxy.port()).into();
    settings.queues = [(name.clone(), QueueSettings::default())].into();
    settings.executor.shutdown_grace = Duration::from_secs(2);
    let queue = Client::new(&Connector::new(settings.redis.options()).unwrap(), name).unwrap();
    let job = NewJob::new(JobId::random(), "order.wait", "null");
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let (began, mut begins) = mpsc::unbounded_channel();
    let registry = Registry::new().handle("order.wait", 1, move |(): (), _| {
        began.send(()).unwrap();
        std::future::pending::<Result<Outcome, Stop>>()
    });
    let executor = Executor::with_handlers(&settings, Health::default(), registry).unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move { executor.run(stopped).await.unwrap() });
    tokio::time::timeout(PATIENCE, begins.recv()).await.unwrap().unwrap();
    proxy.blackhole().await;
    let told = Instant::now();
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("the executor never stops").unwrap();
    let took = told.elapsed();
    assert!(took < 2 * settings.executor.shutdown_grace, "it took {took:?}");
    redis.stop().await.unwrap();
}
