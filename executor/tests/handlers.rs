//! What a handler may say besides success and failure, in an executor on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use upshot_executor::{Child, Context, Executor, Job, Jobs, Stop, Waited};
use upshot_queue::{Client, Condition, JobId, NewJob, Park, Release, State};
use upshot_runtime::Health;
use upshot_servers::Proxy;
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{PATIENCE, TestRedis, own_redis, within};

#[derive(Debug, Serialize, Deserialize)]
struct Ship {
    number: u32,
}

/// What the handler looks at.
#[derive(Clone)]
struct Shop {
    confirmed: Arc<AtomicBool>,
    /// Says that it ships, and waits for the stop then.
    slow: Option<mpsc::UnboundedSender<()>>,
}

impl Job for Ship {
    const KIND: &'static str = "order.ship";
    const ALIASES: &'static [&'static str] = &["order.dispatch"];
    type State = Shop;

    async fn run(self, cx: &Context<Shop>) -> Result<Outcome, Stop> {
        cx.step("wait", async || self.wait(cx.state())).await?;
        if let Some(slow) = &cx.state().slow {
            slow.send(())?;
            cx.stopping().cancelled().await;
            return Err(Release::new("the worker stops").into());
        }
        cx.step("ship", async || Ok::<_, Stop>(())).await?;
        Ok(Outcome::achieved("shipped", Evidence::new("parcel", [("order", self.number.to_string())])))
    }
}

impl Ship {
    fn wait(&self, shop: &Shop) -> Result<(), Stop> {
        if shop.confirmed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Park::new(format!("order-{} confirmed", self.number), "the customer has not confirmed")?.into())
    }
}

fn jobs(shop: Shop) -> Jobs {
    let mut jobs = Jobs::new();
    let state = jobs.state(shop);
    jobs.job::<Ship>(&state).unwrap();
    jobs
}

async fn enqueue(queue: &Client, kind: &str, args: &'static str) -> JobId {
    let job = NewJob::new(JobId::random(), kind, args);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_parks_its_job_and_hands_it_back_when_the_executor_stops() {
    let mut redis = TestRedis::new("shipments").await;
    redis.settings.executor.shutdown_grace = 2 * PATIENCE;
    let queue = redis.queue.clone();
    let id = enqueue(&queue, "order.ship", r#"{"number": 1042}"#).await;

    let confirmed = Arc::new(AtomicBool::new(false));
    let (slow, mut ships) = mpsc::unbounded_channel();
    let worker = redis.worker(jobs(Shop { confirmed: Arc::clone(&confirmed), slow: Some(slow) })).await;
    let parked = redis.until(&id, State::Parked).await;
    assert_eq!(parked.attempts, 0);
    assert_eq!(parked.parked.unwrap().condition, "wait order-1042 confirmed");

    // First it is true, then the job is let go.
    confirmed.store(true, Ordering::Release);
    assert_eq!(queue.unpark(&"order-1042 confirmed".parse().unwrap()).await.unwrap().released, 1);
    within("the job runs", ships.recv()).await.unwrap();
    worker.stop().await;
    let back = queue.job(&id).await.unwrap().unwrap();
    assert_eq!((back.state, back.attempts, back.history.len()), (State::Ready, 0, 0));
    assert_eq!(back.changes.last().unwrap().note.as_deref(), Some("the worker stops"));

    let worker = redis.worker(jobs(Shop { confirmed: Arc::default(), slow: None })).await;
    let done = redis.until(&id, State::Succeeded).await;
    assert_eq!((done.attempts, done.steps.len()), (1, 2), "the first step was not done again");
    worker.stop().await;
    redis.finish().await;
}

/// Waits for what the customer says.
#[derive(Debug, Serialize, Deserialize)]
struct Confirm {
    within_ms: u64,
}

impl Job for Confirm {
    const KIND: &'static str = "order.confirm";
    type State = Shop;

    async fn run(self, cx: &Context<Shop>) -> Result<Outcome, Stop> {
        let said = match cx.wait_for("order-7 confirmed", Duration::from_millis(self.within_ms)).await? {
            Waited::Signalled(payload) => payload.to_string(),
            Waited::TimedOut => "nothing".to_owned(),
        };
        Ok(Outcome::achieved("confirmed", Evidence::new("said", [("said", said)])))
    }
}

async fn confirm(queue: &Client, within_ms: u64) -> JobId {
    let args = serde_json::json!({"within_ms": within_ms}).to_string();
    let job =
        NewJob { tenant: Some("acme".to_owned()), ..NewJob::new(JobId::random(), "order.confirm", args) };
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_waits_for_a_signal_to_its_tenant() {
    let redis = TestRedis::new("shipments").await;
    let mut jobs = Jobs::new();
    let state = jobs.state(Shop { confirmed: Arc::default(), slow: None });
    jobs.job::<Confirm>(&state).unwrap();
    let worker = redis.worker(jobs).await;

    let brief = confirm(&redis.queue, 20).await;
    let done = redis.until(&brief, State::Succeeded).await;
    assert!(done.outcome.unwrap().to_string().contains("nothing"), "its wait ran out of time");

    let late = confirm(&redis.queue, 3_600_000).await;
    redis.until(&late, State::Parked).await;
    let of_all = "order-7 confirmed".parse().unwrap();
    assert_eq!(redis.queue.signal(&of_all, &serde_json::json!(1)).await.unwrap().released.released, 0);
    let own = Condition::of_tenant("acme", "order-7 confirmed").unwrap();
    let sent = redis.queue.signal(&own, &serde_json::json!({"by": "ann"})).await.unwrap();
    assert_eq!(sent.released.released, 1);
    let done = redis.until(&late, State::Succeeded).await;
    assert!(done.outcome.unwrap().to_string().contains("ann"));

    let early = confirm(&redis.queue, 3_600_000).await;
    let done = redis.until(&early, State::Succeeded).await;
    assert_eq!((done.attempts, done.answers.len()), (1, 1), "the signal was kept for it");
    worker.stop().await;
    redis.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_previous_name_of_a_kind_still_runs_and_unreadable_arguments_park() {
    let redis = TestRedis::new("shipments").await;
    let shop = Shop { confirmed: Arc::new(AtomicBool::new(true)), slow: None };
    let worker = redis.worker(jobs(shop)).await;
    let renamed = enqueue(&redis.queue, "order.dispatch", r#"{"number": 1}"#).await;
    redis.until(&renamed, State::Succeeded).await;
    let unreadable = enqueue(&redis.queue, "order.ship", r#"{"number": "s3cret"}"#).await;
    let parked = redis.until(&unreadable, State::Parked).await.parked.unwrap();
    assert!(parked.why.contains("order.ship version 1") && !parked.why.contains("s3cret"), "{parked:?}");
    worker.stop().await;
    redis.finish().await;
}

/// Enqueues shipments, and then fails once.
#[derive(Debug, Deserialize)]
struct Order {
    parcels: u32,
    queue: Option<String>,
}

impl Job for Order {
    const KIND: &'static str = "order.split";
    const TIMEOUT: Option<Duration> = Some(PATIENCE);
    type State = AtomicBool;

    async fn run(self, cx: &Context<AtomicBool>) -> Result<Outcome, Stop> {
        for number in 0..self.parcels {
            let mut child = Child::new("parcel", &Ship { number })?.number(number);
            if let Some(queue) = &self.queue {
                child = child.queue(queue.parse()?);
            }
            cx.enqueue(child.within(PATIENCE)).await?;
        }
        if cx.state().swap(false, Ordering::AcqRel) {
            return Err("the connection broke".into());
        }
        Ok(Outcome::achieved("split", Evidence::new("parcels", [("count", self.parcels.to_string())])))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_enqueues_each_job_once_however_often_it_runs() {
    let redis = TestRedis::new("shipments").await;
    let mut all = jobs(Shop { confirmed: Arc::new(AtomicBool::new(true)), slow: None });
    let state = all.state(AtomicBool::new(true));
    all.job::<Order>(&state).unwrap();
    let worker = redis.worker(all).await;
    let mut job = NewJob::new(JobId::random(), "order.split", r#"{"parcels": 3}"#);
    job.subject = Some("order-7".to_owned());
    job.labels.insert("id".to_owned(), "event-7".to_owned());
    redis.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let parent = redis.until(&job.id, State::Succeeded).await;
    for number in 0..3 {
        let id = Child::new("parcel", &Ship { number }).unwrap().number(number).id(&parent);
        let child = redis.until(&id, State::Succeeded).await;
        assert_eq!((child.subject.as_deref(), child.labels["id"].as_str()), (Some("order-7"), "event-7"));
        assert!(child.expectation.is_some() && child.duplicates == 1, "{child:?}");
    }
    assert_eq!(redis.queue.counts().await.unwrap().of(State::Succeeded), 4);
    let lost = enqueue(&redis.queue, "order.split", r#"{"parcels": 1, "queue": "elsewhere"}"#).await;
    let dead = redis.until(&lost, State::Dead).await;
    assert!(dead.history.last().unwrap().message.contains("[queues.elsewhere]"), "{dead:?}");
    // Corrected arguments have children of their own.
    redis.operator().retry_with(&lost, &r#"{"parcels": 1}"#.into()).await.unwrap();
    let corrected = redis.until(&lost, State::Succeeded).await;
    let child = Child::new("parcel", &Ship { number: 0 }).unwrap();
    assert_ne!(child.id(&dead), child.id(&corrected));
    redis.until(&child.id(&corrected), State::Succeeded).await;
    worker.stop().await;
    redis.finish().await;
}

/// Never ends.
#[derive(Debug, Deserialize)]
struct Wait {}

impl Job for Wait {
    const KIND: &'static str = "order.wait";
    type State = mpsc::UnboundedSender<()>;

    async fn run(self, cx: &Context<Self::State>) -> Result<Outcome, Stop> {
        cx.state().send(())?;
        std::future::pending().await
    }
}

/// A stop has to end before the process is killed: Redis is frozen from its beginning on, and a
/// handler does not listen.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_stops_within_its_grace_although_redis_does_not_answer() {
    let server = own_redis().await;
    let proxy = Proxy::start(server.port()).await.unwrap();
    let mut redis = TestRedis::on(&format!("redis://127.0.0.1:{}/", proxy.port()), "test", "shipments");
    redis.settings.executor.shutdown_grace = Duration::from_secs(2);
    enqueue(&redis.queue, "order.wait", "{}").await;
    let (began, mut begins) = mpsc::unbounded_channel();
    let mut jobs = Jobs::new();
    let state = jobs.state(began);
    jobs.job::<Wait>(&state).unwrap();
    let worker = redis.worker(jobs).await;
    within("the job runs", begins.recv()).await.unwrap();
    proxy.blackhole().await;
    let told = Instant::now();
    worker.stop().await;
    let took = told.elapsed();
    assert!(took < 2 * redis.settings.executor.shutdown_grace, "it took {took:?}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_set_up_and_two_types_of_one_kind_are_refused() {
    let redis = TestRedis::new("shipments").await;
    let mut jobs = Jobs::new();
    let state = jobs.prepared(async |_| Err::<mpsc::UnboundedSender<()>, _>("the carrier has no address"));
    jobs.job::<Wait>(&state).unwrap();
    assert!(jobs.job::<Wait>(&state).unwrap_err().to_string().contains("order.wait"));
    let error = Executor::new(&redis.settings, Health::default(), jobs).await.err().unwrap();
    assert_eq!(error.to_string(), "the carrier has no address");
    redis.finish().await;
}
