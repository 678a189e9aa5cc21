//! Limits across all workers: concurrency, rates, pauses; what they hold costs nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use upshot_queue::{
    JobId, Limit, LimitKey, LimitUse, NewJob, Scrubber, State, WorkerOptions,
    protocol::{Claim, Claimed},
};

use crate::{
    by_hand,
    fixture::{Fixture, PATIENCE, Worker, name, options, own_redis},
};

pub fn limited(n: usize, tenant: &str, keys: &[&str]) -> Vec<NewJob> {
    let job = |_| {
        let mut job = NewJob::new(JobId::random(), "test", "");
        job.tenant = Some(tenant.to_owned());
        job.limit_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        job
    };
    (0..n).map(job).collect()
}

/// Asks for eight jobs, as worker `one`.
pub async fn claim(fixture: &Fixture, number: u64) -> Claimed {
    let claim = Claim { want: 8, quantum: 1, ..by_hand::claim("one", number) };
    fixture.queue.worker.claim(&claim).await.unwrap()
}

/// They succeed.
async fn end(fixture: &Fixture, claimed: Claimed) {
    let jobs = by_hand::jobs(&fixture.queue, "one", claimed);
    by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::succeed()).await;
}

/// Workers whose jobs go on one by one, and how many ran at once at most.
struct Gate {
    workers: Vec<Worker>,
    started: mpsc::UnboundedReceiver<()>,
    go: Arc<Semaphore>,
    most: Arc<AtomicUsize>,
}

impl Gate {
    fn new(fixture: &Fixture, workers: usize) -> Self {
        let (sender, started) = mpsc::unbounded_channel();
        let (go, most, now) = (Arc::new(Semaphore::new(0)), Arc::default(), Arc::new(AtomicUsize::new(0)));
        let worker = |_| {
            let (sender, go, most, now) =
                (sender.clone(), Arc::clone(&go), Arc::clone(&most), Arc::clone(&now));
            Worker::start(&fixture.connector, options(), move |_, _| {
                let (sender, go, most, now) =
                    (sender.clone(), Arc::clone(&go), Arc::<AtomicUsize>::clone(&most), Arc::clone(&now));
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sender.send(()).unwrap();
                    go.acquire().await.unwrap().forget();
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(json!(null))
                }
            })
        };
        let workers = (0..workers).map(worker).collect();
        Self { workers, started, go, most }
    }

    async fn started(&mut self, n: usize) {
        for _ in 0..n {
            tokio::time::timeout(PATIENCE, self.started.recv()).await.expect("no job starts").unwrap();
        }
    }

    async fn stop(self) -> usize {
        for worker in self.workers {
            worker.stop().await;
        }
        self.most.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_a_key_holds_across_tenants_and_workers() {
    let fixture = Fixture::new().await;
    let smtp = LimitKey::Key("smtp".into());
    fixture.queue.operator.set_limit(&smtp, Limit::concurrency(3)).await.unwrap();
    fixture.queue.enqueue(&limited(20, "a", &["smtp"])).await.unwrap();
    fixture.queue.enqueue(&limited(20, "b", &["smtp"])).await.unwrap();
    let free = limited(1, "c", &[]);
    let mut gate = Gate::new(&fixture, 2);
    gate.started(3).await;
    // What is not limited passes what is.
    fixture.queue.enqueue(&free).await.unwrap();
    gate.started(1).await;
    let used = fixture.queue.limit_use(&smtp).await.unwrap();
    assert_eq!(used, LimitUse { running: Some(3), tokens: None, waiting_lanes: 2 });
    gate.go.add_permits(100);
    fixture.until_count(State::Succeeded, 41).await;
    assert_eq!(
        fixture.queue.limit_use(&smtp).await.unwrap(),
        LimitUse { running: Some(0), ..LimitUse::default() }
    );
    assert!(gate.stop().await <= 4);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_queue_and_tenant_are_kept_and_can_be_changed() {
    let fixture = Fixture::new().await;
    let tenant = LimitKey::Tenant("a".into());
    fixture.queue.operator.set_limit(&LimitKey::Queue, Limit::concurrency(4)).await.unwrap();
    fixture.queue.operator.set_limit(&tenant, Limit::concurrency(1)).await.unwrap();
    fixture.queue.enqueue(&limited(10, "a", &[])).await.unwrap();
    let mut gate = Gate::new(&fixture, 2);
    gate.started(1).await;
    fixture.queue.enqueue(&limited(10, "b", &[])).await.unwrap();
    gate.started(3).await;
    assert_eq!(fixture.queue.limit_use(&LimitKey::Queue).await.unwrap().running, Some(4));
    // More room: more of them start, without anything having ended.
    fixture.queue.operator.set_limit(&LimitKey::Queue, Limit::concurrency(6)).await.unwrap();
    gate.started(2).await;
    fixture.queue.operator.set_limit(&LimitKey::Queue, Limit::default()).await.unwrap();
    fixture.queue.operator.set_limit(&tenant, Limit::default()).await.unwrap();
    assert!(fixture.queue.limits().await.unwrap().limits.is_empty());
    gate.started(10).await;
    gate.go.add_permits(100);
    fixture.until_count(State::Succeeded, 20).await;
    gate.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_what_ran_before_it_was_set() {
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("db".into());
    fixture.queue.enqueue(&limited(4, "a", &["db"])).await.unwrap();
    let mut gate = Gate::new(&fixture, 1);
    gate.started(4).await;
    fixture.queue.operator.set_limit(&key, Limit::concurrency(5)).await.unwrap();
    assert_eq!(fixture.queue.limit_use(&key).await.unwrap().running, Some(4));
    fixture.queue.enqueue(&limited(3, "a", &["db"])).await.unwrap();
    gate.started(1).await;
    assert_eq!(
        fixture.queue.limit_use(&key).await.unwrap(),
        LimitUse { running: Some(5), tokens: None, waiting_lanes: 1 }
    );
    gate.go.add_permits(100);
    fixture.until_count(State::Succeeded, 7).await;
    assert_eq!(gate.stop().await, 5);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_on_the_average_with_its_burst() {
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("api".into());
    fixture.queue.operator.set_limit(&key, Limit::rate(50.0, 5)).await.unwrap();
    fixture.queue.enqueue(&limited(15, "a", &["api"])).await.unwrap();
    fixture.queue.enqueue(&limited(15, "b", &["api"])).await.unwrap();
    let options = WorkerOptions { concurrency: 64, ..WorkerOptions::new(name()) };
    let worker = Worker::start(&fixture.connector, options, |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 30).await;
    // Redis' own clock says when each began: 5 at once, then one each 20 ms.
    let page = fixture.queue.list(&Default::default(), None, 100).await.unwrap();
    let mut began: Vec<i64> = page.jobs.iter().filter_map(|job| job.began).collect();
    began.sort_unstable();
    for (i, at) in began.iter().enumerate() {
        let tokens = 5.0 + (at - began[0] + 1) as f64 / 1000.0 * 50.0;
        assert!(i as f64 + 1.0 <= tokens + 0.5, "job {i} began after {} ms", at - began[0]);
    }
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_and_touches_no_job() {
    let fixture = Fixture::new().await;
    fixture.queue.operator.pause().await.unwrap();
    let ids = fixture.enqueue(50).await;
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    let counts = fixture.queue.counts().await.unwrap();
    assert!(counts.paused && counts.of(State::Ready) == 50);
    fixture.queue.operator.resume().await.unwrap();
    fixture.until_count(State::Succeeded, 50).await;
    let done = fixture.queue.job(&ids[0]).await.unwrap().unwrap();
    assert!(done.changes.is_empty());
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_paused_kind_are_parked_and_others_run() {
    let fixture = Fixture::new().await;
    fixture.queue.operator.pause_kind("slow|kind").await.unwrap();
    let kind = |kind: &str| NewJob::new(JobId::random(), kind, "");
    let jobs = [kind("slow|kind"), kind("other"), kind("slow|kind")];
    fixture.queue.enqueue(&jobs).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&jobs[1].id, State::Succeeded).await;
    fixture.until_count(State::Parked, 2).await;
    let parked = fixture.queue.job(&jobs[0].id).await.unwrap().unwrap();
    assert_eq!((parked.attempts, parked.parked.unwrap().why.as_str()), (0, "the kind is paused"));
    assert_eq!(fixture.queue.limits().await.unwrap().paused_kinds, ["slow|kind"]);
    assert_eq!(fixture.queue.operator.resume_kind("slow|kind").await.unwrap().released, 2);
    fixture.until_count(State::Succeeded, 3).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn what_a_limit_holds_costs_no_commands() {
    // Its own server: the commands of other tests would be counted too.
    let redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let key = LimitKey::Key("closed".into());
    fixture.queue.operator.set_limit(&key, Limit::concurrency(0)).await.unwrap();
    let counted = async |number| {
        let before = fixture.commands().await;
        let claimed = claim(&fixture, number).await;
        assert!(claimed.is_empty());
        (fixture.commands().await - before, claimed.more)
    };
    counted(1).await;
    let (empty, _) = counted(2).await;
    for lane in 0..50 {
        fixture.queue.enqueue(&limited(20, &format!("t{lane}"), &["closed"])).await.unwrap();
    }
    // The first claims find out; after that the held jobs are looked at no more.
    let mut number = 3;
    while counted(number).await.1 {
        number += 1;
    }
    let (held, _) = counted(number + 1).await;
    assert!(held <= empty + 4, "{held} commands with 1000 jobs held, {empty} with none");
    let used = fixture.queue.limit_use(&key).await.unwrap();
    assert_eq!(used, LimitUse { running: Some(0), tokens: None, waiting_lanes: 50 });
    fixture.queue.operator.set_limit(&key, Limit::default()).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 1000).await;
    worker.stop().await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}

/// A claim asks for more than there are tokens for: who got some comes back for the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_of_the_whole_queue_is_reached_and_not_only_kept() {
    let fixture = Fixture::new().await;
    fixture.queue.operator.set_limit(&LimitKey::Queue, Limit::rate(50.0, 1)).await.unwrap();
    fixture.enqueue(20).await;
    let claimed = claim(&fixture, 1).await;
    assert_eq!(claimed.len(), 1);
    let wait = claimed.next_at - claimed.now;
    assert!((1..=20).contains(&wait), "the next token comes within 20 ms, it said {wait}");
    end(&fixture, claimed).await;
    // The worker's own poll would take 19 s.
    let slow = WorkerOptions { poll: Duration::from_secs(30), ..options() };
    let worker = Worker::start(&fixture.connector, slow, |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 20).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_changed_rate_does_not_change_what_came_before() {
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("api".into());
    // A token in a quarter of an hour, and all that had come are used up.
    let slow = 0.001;
    fixture.queue.operator.set_limit(&key, Limit::rate(slow, 2)).await.unwrap();
    fixture.queue.enqueue(&limited(10, "a", &["api"])).await.unwrap();
    let fresh = LimitUse { running: None, tokens: Some(2), waiting_lanes: 0 };
    assert_eq!(fixture.queue.limit_use(&key).await.unwrap(), fresh);
    let claimed = claim(&fixture, 1).await;
    assert_eq!(claimed.len(), 2);
    let used = LimitUse { tokens: Some(0), waiting_lanes: 1, ..fresh };
    assert_eq!(fixture.queue.limit_use(&key).await.unwrap(), used);
    // Long ago, as far as the bucket knows.
    let mut admin = fixture.connector.connect().unwrap();
    let bucket = fixture.queue.keys().buckets();
    let ago = (claimed.now - 100_000) * 1000;
    let mut cmd = redis::cmd("HSET");
    cmd.arg(&bucket).arg("key:api").arg(format!("0.000000 {ago}")).exec_async(&mut admin).await.unwrap();
    fixture.queue.operator.set_limit(&key, Limit::rate(0.01, 50)).await.unwrap();
    assert_eq!(claim(&fixture, 2).await.len(), 0, "a tenth of a token had come");
    fixture.queue.operator.set_limit(&key, Limit::default()).await.unwrap();
    end(&fixture, claimed).await;
    fixture.finish().await;
}

/// Whoever sets a limit counts what runs in several calls, and may end in between.
#[tokio::test]
async fn no_job_starts_under_a_limit_before_what_runs_is_counted() {
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("db".into());
    fixture.queue.enqueue(&limited(20, "a", &["db"])).await.unwrap();
    let mut running = claim(&fixture, 1).await;
    assert_eq!(running.len(), 8);
    fixture.queue.operator.set_limit(&key, Limit::concurrency(8)).await.unwrap();
    // As it is when the caller ended before it counted anything.
    let (keys, mut admin) = (fixture.queue.keys(), fixture.connector.connect().unwrap());
    let mut pipe = redis::pipe();
    pipe.cmd("DEL").arg(keys.holding());
    pipe.cmd("DEL").arg(keys.holders("key:db"));
    pipe.cmd("HSET").arg(keys.counting()).arg("key:db").arg(running.now + 9_000);
    pipe.exec_async(&mut admin).await.unwrap();
    let held = claim(&fixture, 2).await;
    assert_eq!(held.len(), 0, "8 run, and nobody has counted them");
    assert_eq!(held.next_at, running.now + 9_000, "by then somebody should have");
    // The time is over; the next pass of a scrubber counts them.
    let mut cmd = redis::cmd("HSET");
    cmd.arg(keys.counting()).arg("key:db").arg(running.now).exec_async(&mut admin).await.unwrap();
    Scrubber::pass(&fixture.queue.worker).await.unwrap();
    assert_eq!(fixture.queue.limit_use(&key).await.unwrap().running, Some(8));
    assert_eq!(claim(&fixture, 3).await.len(), 0);
    end(&fixture, running).await;
    running = claim(&fixture, 4).await;
    assert_eq!(running.len(), 8);
    end(&fixture, running).await;
    fixture.queue.operator.set_limit(&key, Limit::default()).await.unwrap();
    fixture.finish().await;
}
