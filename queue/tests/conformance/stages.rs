//! How long a job spends in each stage: the stages of any life add up to the whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::AsyncCommands;
use serde_json::json;
use upshot_queue::{
    Clock, Condition, Connection, Expect, Failure, Histogram, Job, JobId, LABEL_CLOCK, NewJob, OnSilence,
    Origin, Stage, State, Stop, failure::FailureClass, histogram::bucket_of, protocol::Disposition,
};

use crate::{
    by_hand::{self, bury, park, retry, succeed},
    fixture::{Fixture, Worker, options},
    handles::Queue,
};

const T: i64 = 1_800_000_000_000;

fn expected(origin: Option<Origin>) -> NewJob {
    let labels = origin.map(|origin| (LABEL_CLOCK.to_owned(), origin.label()));
    NewJob {
        expect: Some(Expect::new("orders", Duration::from_secs(3600))),
        labels: labels.into_iter().collect(),
        ..NewJob::new(JobId::random(), "test", "")
    }
}

/// A queue whose clock the test moves.
struct Timed {
    fixture: Fixture,
    queue: Queue,
    conn: Connection,
    now: i64,
    number: u64,
}

impl Timed {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let queue = fixture.queue.clone().with_test_clock();
        let conn = fixture.connector.connect().unwrap();
        let mut timed = Self { fixture, queue, conn, now: T, number: 0 };
        timed.ahead(0).await;
        timed
    }

    async fn ahead(&mut self, ms: i64) {
        self.now += ms;
        let () = self.conn.set(self.queue.keys().clock(), self.now * 1_000).await.unwrap();
    }

    /// Leases the one job.
    async fn lease(&mut self) -> Job {
        self.number += 1;
        let jobs = by_hand::lease(&self.queue, "w", self.number).await;
        let [job] = <[Job; 1]>::try_from(jobs).unwrap();
        job
    }

    /// Runs the one job for so long, and ends it.
    async fn run(&mut self, ms: i64, end: &Disposition) {
        let job = self.lease().await;
        self.ahead(ms).await;
        by_hand::settle(&self.queue, "w", &[job], end).await;
    }

    async fn times(&self, id: &JobId) -> Vec<(Stage, i64)> {
        let clock = self.queue.job(id).await.unwrap().unwrap().clock(self.now);
        Stage::ALL.into_iter().map(|stage| (stage, clock.of(stage))).filter(|(_, ms)| *ms > 0).collect()
    }
}

fn snooze(delay: Duration) -> Disposition {
    Disposition::Snooze { delay, line: by_hand::line("snoozed") }
}

#[tokio::test]
async fn the_stages_of_a_long_life_add_up_to_the_whole() {
    let mut timed = Timed::new().await;
    let origin = Origin { asked: Some(T - 2_030), received: T - 30 };
    let job = NewJob { delay: Duration::from_millis(100), ..expected(Some(origin)) };
    let id = job.id.clone();
    timed.queue.enqueue(&[job]).await.unwrap();
    timed.ahead(700).await;
    timed.run(400, &retry(Duration::from_secs(5))).await;
    timed.ahead(5_000).await;
    timed.run(60, &park("wait paid")).await;
    timed.ahead(4_000).await;
    assert_eq!(timed.times(&id).await[3], (Stage::Parked, 4_000), "it is still parked");
    let condition = Condition::new(None, "paid").unwrap();
    timed.queue.signal(&condition, &json!(1)).await.unwrap();
    timed.ahead(9).await;
    timed.run(1, &snooze(Duration::from_millis(500))).await;
    timed.ahead(500).await;
    timed.run(3, &bury()).await;
    timed.ahead(60_000).await;
    timed.queue.operator.retry(&id).await.unwrap();
    timed.ahead(20).await;
    timed.run(8, &succeed()).await;
    timed.ahead(12_345).await;
    let expected = [
        (Stage::Broker, 2_000),
        (Stage::Bridge, 30),
        (Stage::Queue, 700 + 9 + 20),
        (Stage::Parked, 4_000 + 500),
        (Stage::Run, 400 + 60 + 1 + 3 + 8),
        (Stage::RetryWait, 5_000),
    ];
    assert_eq!(timed.times(&id).await, [&expected[..], &[(Stage::Dead, 60_000)]].concat());
    let job = timed.queue.job(&id).await.unwrap().unwrap();
    assert_eq!(job.clock(timed.now).whole(), job.since - (T - 2_030));
    timed.fixture.finish_damaged();
}

fn awaits() -> Disposition {
    Disposition::Await {
        outcome: "null".to_owned(),
        condition: "wait paid".to_owned(),
        within: Duration::from_secs(3_600),
        on_silence: OnSilence::Missed,
        why: "the bank has it".to_owned(),
        line: by_hand::line("awaiting"),
    }
}

/// Bucket counts of one time each.
fn histogram(times: &[i64]) -> Histogram {
    let mut histogram = Histogram::default();
    times.iter().for_each(|ms| histogram.add(bucket_of(*ms), 1));
    histogram
}

#[tokio::test]
async fn a_proof_that_comes_later_has_a_stage_of_its_own_and_is_counted_by_the_script() {
    let mut timed = Timed::new().await;
    let condition = Condition::new(None, "paid").unwrap();
    // Of the first job the clocks disagree, and it is confirmed in time; of the second one after the silence.
    let skewed = Origin { asked: Some(T + 9_000), received: T - 30 };
    let jobs = [expected(Some(skewed)), expected(Some(Origin { asked: Some(T), received: T + 3_604_055 }))];
    let ids = jobs.each_ref().map(|job| job.id.clone());
    timed.queue.enqueue(&jobs[..1]).await.unwrap();
    timed.ahead(50).await;
    timed.run(5, &awaits()).await;
    timed.ahead(4_000).await;
    assert_eq!(timed.times(&ids[0]).await[3], (Stage::Confirmation, 4_000), "it still awaits its proof");
    timed.queue.confirm(&condition, &json!({})).await.unwrap();
    timed.ahead(3_600_000).await;
    let first = [(Stage::Bridge, 30), (Stage::Queue, 50), (Stage::Run, 5), (Stage::Confirmation, 4_000)];
    assert_eq!(timed.times(&ids[0]).await, first);

    // The signal of the first job is there: the second one ends at once.
    timed.queue.enqueue(&jobs[1..]).await.unwrap();
    timed.run(7, &awaits()).await;
    assert_eq!(timed.times(&ids[1]).await, [(Stage::Broker, 3_604_055), (Stage::Run, 7)]);

    let (_, counted) = timed.queue.clocks(T, timed.now).await.unwrap();
    let of = &counted.routes[&1];
    assert_eq!((of.skewed, of.whole.clone()), (1, histogram(&[4_085, 3_604_062])));
    assert_eq!(of.of(Stage::Confirmation), histogram(&[4_000, 0]));
    assert_eq!(of.of(Stage::Run), histogram(&[5, 7]));
    assert_eq!(
        (of.of(Stage::Broker), of.of(Stage::Bridge)),
        (histogram(&[0, 3_604_055]), histogram(&[30, 0]))
    );
    assert_eq!((of.of(Stage::Queue), of.of(Stage::Parked)), (histogram(&[50, 0]), histogram(&[0, 0])));
    timed.fixture.finish_damaged();
}

#[tokio::test]
async fn a_job_that_ran_once_keeps_no_sums() {
    let mut timed = Timed::new().await;
    let job = expected(None);
    let id = job.id.clone();
    timed.queue.enqueue(&[job]).await.unwrap();
    timed.ahead(40).await;
    timed.run(7, &succeed()).await;
    assert_eq!(timed.times(&id).await, [(Stage::Queue, 40), (Stage::Run, 7)]);
    let spent: Option<String> = timed.conn.hget(timed.queue.keys().job(&id), "spent").await.unwrap();
    assert_eq!(spent, None);
    timed.fixture.finish_damaged();
}

#[tokio::test]
async fn a_worker_that_knows_the_kind_ends_the_time_in_which_a_job_was_parked_for_it() {
    let mut timed = Timed::new().await;
    let job = expected(None);
    let id = job.id.clone();
    timed.queue.enqueue(&[job]).await.unwrap();
    let mut stranger = by_hand::claim("stranger", 1);
    let other = ["1|other".to_owned()];
    stranger.kinds = Some(&other);
    timed.ahead(5).await;
    assert!(timed.queue.worker.claim(&stranger).await.unwrap().is_empty());
    timed.ahead(900).await;
    let known = ["1|test".to_owned()];
    let mut friend = by_hand::claim("w", 1);
    friend.kinds = Some(&known);
    let claimed = timed.queue.worker.claim(&friend).await.unwrap();
    let jobs = by_hand::jobs(&timed.queue, "w", claimed);
    assert_eq!(jobs[0].clock(timed.now).of(Stage::Parked), 900, "the worker knows it from its claim");
    timed.ahead(30).await;
    by_hand::settle(&timed.queue, "w", &jobs, &succeed()).await;
    assert_eq!(timed.times(&id).await, [(Stage::Queue, 5), (Stage::Parked, 900), (Stage::Run, 30)]);
    timed.fixture.finish_damaged();
}

#[tokio::test]
async fn a_reclaimed_job_ran_until_its_lease_expired() {
    let mut timed = Timed::new().await;
    let job = expected(None);
    let id = job.id.clone();
    timed.queue.enqueue(&[job]).await.unwrap();
    timed.lease().await;
    timed.ahead(600_001).await;
    timed.run(10, &Disposition::Cancel { line: by_hand::line("cancelled") }).await;
    assert_eq!(timed.times(&id).await, [(Stage::Run, 600_011)]);
    timed.fixture.finish_damaged();
}

/// What a real worker counted is what its jobs keep.
#[tokio::test]
async fn a_worker_counts_how_long_its_jobs_took() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..20)
        .map(|n| {
            let received = now_ms();
            // Every second producer's clock is ahead.
            let asked = if n % 2 == 0 { received - 5_000 } else { received + 60_000 };
            expected(Some(Origin { asked: Some(asked), received }))
        })
        .collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let failures = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&failures);
    let worker = Worker::start_any(&fixture.connector, options(), move |job: Arc<Job>, _| {
        let count = Arc::clone(&count);
        async move {
            if job.attempts == 1 && count.fetch_add(1, Ordering::Relaxed) < 3 {
                return Err(Stop::from(Failure::new(FailureClass::Transient, "once")));
            }
            Ok(json!(null))
        }
    });
    fixture.until_count(State::Succeeded, 20).await;
    worker.stop().await;
    let ids: Vec<JobId> = jobs.into_iter().map(|job| job.id).collect();
    let clocks: Vec<Clock> = fixture.queue.jobs(&ids).await.unwrap().iter().map(|job| job.clock(0)).collect();
    let until = now_ms();
    let (_, counted) = fixture.queue.clocks(until - 3_600_000, until).await.unwrap();
    let of = &counted.routes[&1];
    assert_eq!((of.whole.count(), of.skewed, counted.uncounted), (20, 10, 0));
    let of_all = |time: &dyn Fn(&Clock) -> i64| histogram(&clocks.iter().map(time).collect::<Vec<_>>());
    assert_eq!(of.whole, of_all(&Clock::whole));
    for stage in Stage::ALL {
        assert_eq!(of.of(stage), of_all(&|clock| clock.of(stage)), "{stage:?}");
    }
    assert!(clocks.iter().filter(|clock| clock.of(Stage::RetryWait) > 0).count() == 3);
    fixture.finish().await;
}

/// This machine's time, UTC ms.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn the_oldest_open_job_of_each_route_is_found_in_every_state() {
    let mut timed = Timed::new().await;
    let of = |route: &str| NewJob {
        expect: Some(Expect::new(route, Duration::from_secs(60))),
        ..NewJob::new(JobId::random(), "test", "")
    };
    let [parked, scheduled, running, ready] = ["parked", "scheduled", "running", "ready"].map(of);
    let ids = [&parked, &scheduled, &running, &ready].map(|job| job.id.clone());
    let scheduled = NewJob { delay: Duration::from_secs(30), ..scheduled };
    timed.queue.enqueue(&[parked]).await.unwrap();
    timed.run(1, &park("wait paid")).await;
    timed.ahead(1_000).await;
    timed.queue.enqueue(&[scheduled]).await.unwrap();
    timed.queue.enqueue(&[running]).await.unwrap();
    let leased = timed.lease().await;
    timed.queue.enqueue(&[ready]).await.unwrap();
    timed.ahead(1_000).await;
    // Later ones of the same routes.
    let later: Vec<NewJob> = ["parked", "scheduled", "running", "ready"].map(of).into();
    timed.queue.enqueue(&later).await.unwrap();
    let numbers: Vec<u32> = timed.queue.routes().await.unwrap().into_keys().collect();
    let found = timed.queue.oldest_open(&numbers).await.unwrap();
    let found: Vec<JobId> = found.into_values().map(|job| job.id).collect();
    assert_eq!(found, ids, "routes have their numbers in the order of their first jobs");
    // One that ended gives way to the next.
    by_hand::settle(&timed.queue, "w", &[leased], &succeed()).await;
    let found = timed.queue.oldest_open(&numbers).await.unwrap();
    assert_eq!(found[&numbers[2]].id, later[2].id);
    timed.fixture.finish_damaged();
}
