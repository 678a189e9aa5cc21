//! Work that fails: by class, with its budget and its history.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use upshot_queue::{
    Changed, Condition, Crashes, Failure, FailureClass, JobId, NewJob, Park, RetryPolicy, Shares, State,
    Wait, WorkerOptions,
    protocol::{Claim, Maintained},
};

use crate::fixture::{Fixture, Worker, options};

fn quick() -> WorkerOptions {
    let retry = RetryPolicy {
        wait: Wait { base: Duration::from_millis(1), floor: Duration::from_millis(1), ..Wait::default() },
        transient: 2,
        unclear: 1,
        timed_out: 1,
        crashed: 1,
        // By number alone, unless a test says otherwise.
        retry_for: HashMap::new(),
        ..RetryPolicy::default()
    };
    WorkerOptions { retry, timeout: Duration::from_millis(200), ..options() }
}

#[tokio::test]
async fn a_transient_failure_is_retried_until_its_budget_is_used_up() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, quick(), |_, _| async {
        Err(Failure::transient("connection refused"))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!(dead.attempts, 3);
    assert_eq!(dead.failures.get(&FailureClass::Transient), Some(&3));
    assert_eq!(dead.history.len(), 3);
    assert!(dead.history.iter().all(|failed| failed.message == "connection refused"));
    worker.stop().await;
    fixture.finish().await;
}

/// The time counts from the first failure of the class, which Redis keeps with the job.
#[tokio::test]
async fn a_failure_is_retried_for_its_time_however_often_it_occurs() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let mut options = quick();
    options.retry.retry_for = [(FailureClass::Transient, Duration::from_secs(2))].into();
    let worker = Worker::start(&fixture.connector, options, |_, _| async {
        Err(Failure::transient("connection refused"))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    let first = dead.first_failures[&FailureClass::Transient];
    assert!(dead.attempts > 3, "{} attempts: its number alone ended it", dead.attempts);
    assert!(dead.since - first >= 2000, "dead {} ms after its first failure", dead.since - first);
    // By hand it has all its time again.
    assert_eq!(fixture.queue.operator.retry(&id).await.unwrap(), Changed::To(State::Ready));
    let again = fixture.until_state(&id, State::Dead).await;
    assert!(again.since - again.first_failures[&FailureClass::Transient] >= 2000);
    worker.stop().await;
    fixture.finish().await;
}

/// A job that an earlier version wrote has no time of its first failure: it begins now.
#[tokio::test]
async fn a_job_of_an_earlier_version_has_its_time_before_it() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let mut raw = fixture.connector.connect().unwrap();
    let mut set = redis::cmd("HSET");
    set.arg(fixture.queue.keys().job(&id)).arg("failed:transient").arg(3);
    set.query_async::<()>(&mut raw).await.unwrap();
    let mut options = quick();
    options.retry.retry_for = [(FailureClass::Transient, Duration::from_millis(400))].into();
    let worker = Worker::start(&fixture.connector, options, |_, _| async {
        Err(Failure::transient("connection refused"))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert!(dead.since - dead.first_failures[&FailureClass::Transient] >= 400 && dead.attempts > 1);
    worker.stop().await;
    fixture.finish().await;
}

/// What was asked for and not answered is neither cut short by the attempt's time-out, nor
/// taken for one.
#[tokio::test]
async fn an_effect_that_is_awaited_outlasts_the_time_out_and_is_unclear_without_its_answer() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let mut options = quick();
    options.retry.unclear = 0;
    let worker = Worker::start(&fixture.connector, options, |job, lease| async move {
        let answered = &job.args[..] == b"0";
        let wait = if answered { Duration::from_secs(60) } else { Duration::from_millis(300) };
        let awaits = lease.awaits(wait, "the parcel may be on its way");
        if answered {
            tokio::time::sleep(Duration::from_millis(600)).await;
            drop(awaits);
            return Ok(json!("delivered"));
        }
        std::future::pending().await
    });
    let done = fixture.until_state(&ids[0], State::Succeeded).await;
    assert_eq!((done.attempts, done.history.len()), (1, 0), "cut after 200 ms");
    let dead = fixture.until_state(&ids[1], State::Dead).await;
    let failed = &dead.history[0];
    assert_eq!((dead.attempts, failed.class), (1, FailureClass::Unclear));
    assert!(failed.message.starts_with("the parcel may be on its way"), "{}", failed.message);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_stop_while_an_effect_is_awaited_is_unclear_and_not_handed_back() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let mut options = quick();
    options.timeout = Duration::from_secs(600);
    options.retry.unclear = 0;
    let interrupt = options.interrupt.clone();
    let (says, mut said) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::start(&fixture.connector, options, move |_, lease| {
        let says = says.clone();
        async move {
            let _awaits = lease.awaits(Duration::from_secs(600), "the parcel may be on its way");
            says.send(()).unwrap();
            std::future::pending().await
        }
    });
    said.recv().await.unwrap();
    interrupt.cancel();
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!((dead.attempts, dead.history[0].class), (1, FailureClass::Unclear));
    assert!(dead.history[0].message.contains("the worker stopped"), "{:?}", dead.history);
    worker.stop().await;
    fixture.finish().await;
}

/// An error that repeats its source in its own text, and one that does not.
#[tokio::test]
async fn each_cause_of_a_failure_is_said_once() {
    #[derive(Debug, thiserror::Error)]
    enum Error {
        #[error("the file cannot be read: {0}")]
        Repeats(#[source] std::io::Error),
        #[error("the file cannot be read")]
        Leaves(#[source] std::io::Error),
    }
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let mut options = quick();
    options.retry.transient = 0;
    let worker = Worker::start_any(&fixture.connector, options, |job, _| async move {
        let cause = std::io::Error::other("the disk is on fire");
        Err(if &job.args[..] == b"0" { Error::Repeats(cause) } else { Error::Leaves(cause) })
    });
    for id in &ids {
        let dead = fixture.until_state(id, State::Dead).await;
        assert_eq!(dead.history[0].message, "the file cannot be read: the disk is on fire");
    }
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_permanent_failure_that_is_to_be_confirmed_is_final_the_second_time() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, quick(), |_, _| async {
        Err(Failure::permanent_if_confirmed("550", Duration::from_millis(300)))
    });
    let waiting = fixture.until_state(&id, State::Scheduled).await;
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!((dead.attempts, dead.history[1].class), (2, FailureClass::Permanent));
    assert!(dead.since - waiting.since >= 300);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn some_jobs_find_out_whether_a_need_is_met() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(3).await;
    let condition: Condition = "breaker:smtp".parse().unwrap();
    assert_eq!(fixture.queue.waiting_for(&condition).await.unwrap(), 0);
    assert_eq!(fixture.queue.unpark_some(&condition, 1).await.unwrap(), 0);
    let shut = Arc::new(AtomicBool::new(true));
    let is_shut = Arc::clone(&shut);
    let worker = Worker::start_any(&fixture.connector, quick(), move |_, _| {
        let shut = is_shut.load(Ordering::Relaxed);
        async move {
            if shut {
                return Err(upshot_queue::Stop::from(Park::new("breaker:smtp", "it refuses all")?));
            }
            Ok(json!(null))
        }
    });
    for id in &ids {
        fixture.until_state(id, State::Parked).await;
    }
    assert_eq!(fixture.queue.waiting_for(&condition).await.unwrap(), 3);
    shut.store(false, Ordering::Relaxed);
    assert_eq!(fixture.queue.unpark_some(&condition, 1).await.unwrap(), 1);
    // Jobs that were parked in the same ms go by their ids.
    fixture.until_count(State::Succeeded, 1).await;
    assert_eq!(fixture.queue.waiting_for(&condition).await.unwrap(), 2);
    assert_eq!(fixture.queue.unpark(&condition).await.unwrap().released, 2);
    for id in &ids {
        fixture.until_state(id, State::Succeeded).await;
    }
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_permanent_failure_is_final() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, quick(), |_, _| async {
        Err(Failure::permanent("no such customer"))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!((dead.attempts, dead.history[0].class), (1, FailureClass::Permanent));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_throttled_job_waits_as_long_as_it_was_told() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, quick(), |job, _| async move {
        match job.attempts {
            1 => Err(Failure::throttled("429", Duration::from_millis(600))),
            _ => Ok(json!(null)),
        }
    });
    let waiting = fixture.until_state(&id, State::Scheduled).await;
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert!(done.since - waiting.since >= 600, "{} ms", done.since - waiting.since);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_panic_and_a_timeout_are_failures_of_their_own_class() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let worker = Worker::start(&fixture.connector, quick(), |job, _| async move {
        if &job.args[..] == b"0" {
            panic!("boom");
        }
        std::future::pending().await
    });
    let crashed = fixture.until_state(&ids[0], State::Dead).await;
    assert_eq!((crashed.attempts, crashed.history[0].class), (2, FailureClass::Crashed));
    assert!(crashed.history[0].message.contains("boom"));
    let slow = fixture.until_state(&ids[1], State::Dead).await;
    assert_eq!((slow.attempts, slow.history[0].class), (2, FailureClass::TimedOut));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_job_retried_by_hand_has_fresh_budgets_and_keeps_steps_and_history() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    assert_eq!(fixture.queue.operator.retry(&id).await.unwrap(), Changed::Refused(State::Ready));
    assert_eq!(fixture.queue.operator.retry(&JobId::random()).await.unwrap(), Changed::Unknown);
    let worker = Worker::start(&fixture.connector, quick(), |job, lease| async move {
        if job.attempts == 1 {
            lease.complete_step("render", &json!("once")).await.unwrap();
        }
        if job.attempts <= 5 { Err(Failure::transient("still away")) } else { Ok(json!("back")) }
    });
    fixture.until_state(&id, State::Dead).await;
    assert_eq!(fixture.queue.operator.retry(&id).await.unwrap(), Changed::To(State::Ready));
    let done = fixture.until_state(&id, State::Succeeded).await;
    // Three attempts, then two more failures within the fresh budget of two.
    assert_eq!((done.attempts, done.history.len()), (6, 5));
    assert_eq!(done.step("render"), Some(&json!("once")));
    assert_eq!(done.failures.get(&FailureClass::Transient), Some(&2));
    worker.stop().await;
    fixture.finish().await;
}

/// A lost worker is a crash as well, and its kind has a budget of its own.
#[tokio::test]
async fn a_kind_survives_as_many_lost_workers_as_it_may() {
    let fixture = Fixture::new().await;
    let of = |kind: &str| NewJob::new(JobId::random(), kind, "");
    let jobs = [of("fragile"), of("other")];
    fixture.queue.enqueue(&jobs).await.unwrap();
    let budgets = [("fragile".to_owned(), Crashes::new(0, Wait::NONE))];
    let crashes = Crashes::new(1, Wait::NONE);
    let claim = |want, number| Claim {
        worker: "one",
        want,
        lease: Duration::from_millis(1),
        crashes: &crashes,
        crashes_by_kind: &budgets,
        kinds: None,
        request_id: number,
        shares: Shares::default(),
        quantum: 1,
    };
    let claimed = fixture.queue.worker.claim(&claim(2, 1)).await.unwrap();
    assert_eq!(claimed.len(), 2);
    fixture.until_after(claimed.now + 1).await;
    let reclaimed = fixture.queue.worker.claim(&claim(0, 2)).await.unwrap();
    assert_eq!(reclaimed.maintained.unwrap(), Maintained { reclaimed: 2, dead: 1 });
    assert_eq!(fixture.queue.job(&jobs[0].id).await.unwrap().unwrap().state, State::Dead);
    assert_eq!(fixture.queue.job(&jobs[1].id).await.unwrap().unwrap().state, State::Ready);
    fixture.finish().await;
}

/// What crashes its workers does not do so at once again, and not all that a worker held
/// comes back at the same time.
#[tokio::test]
async fn jobs_of_a_lost_worker_wait_as_after_any_crash() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..20).map(|_| NewJob::new(JobId::random(), "test", "")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let seconds = Duration::from_secs;
    // Shorter after the first crash than after the second.
    let crashes = Crashes::new(2, Wait { base: seconds(40), cap: seconds(600), floor: seconds(5) });
    let claim = |want, number| Claim {
        worker: "one",
        want,
        lease: Duration::from_millis(1),
        crashes: &crashes,
        crashes_by_kind: &[],
        kinds: None,
        request_id: number,
        shares: Shares::default(),
        quantum: 20,
    };
    let claimed = fixture.queue.worker.claim(&claim(20, 1)).await.unwrap();
    assert_eq!(claimed.len(), 20);
    fixture.until_after(claimed.now + 1).await;
    let reclaimed = fixture.queue.worker.claim(&claim(20, 2)).await.unwrap();
    assert_eq!(reclaimed.maintained.as_ref().unwrap().reclaimed, 20);
    assert!(reclaimed.is_empty());
    let mut cmd = redis::cmd("ZRANGE");
    cmd.arg(fixture.queue.keys().scheduled()).arg(0).arg(-1).arg("WITHSCORES");
    let scheduled: Vec<(String, i64)> =
        cmd.query_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
    assert_eq!(scheduled.len(), 20);
    let due: BTreeSet<i64> = scheduled.iter().map(|(_, due)| due - reclaimed.now).collect();
    // The waits count from the script in front of the claim, which is a little earlier.
    assert!(due.iter().all(|wait| (4_900..=40_000).contains(wait)), "{due:?}");
    assert!(due.len() > 10 && due.last().unwrap() - due.first().unwrap() > 20_000, "{due:?}");
    assert_eq!(reclaimed.next_at, reclaimed.now + due.first().unwrap());
    fixture.finish().await;
}
