//! Work that fails: by class, with its budget and its history.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use upshot_queue::{
    Changed, Crashes, Failure, FailureClass, JobId, NewJob, RetryPolicy, Shares, State, Wait, WorkerOptions,
    protocol::Claim,
};

use crate::fixture::{Fixture, Worker, options};

fn quick() -> WorkerOptions {
    let retry = RetryPolicy {
        wait: Wait { base: Duration::from_millis(1), floor: Duration::from_millis(1), ..Wait::default() },
        transient: 2,
        timed_out: 1,
        crashed: 1,
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
    assert_eq!(fixture.queue.retry(&id).await.unwrap(), Changed::Refused(State::Ready));
    assert_eq!(fixture.queue.retry(&JobId::random()).await.unwrap(), Changed::Unknown);
    let worker = Worker::start(&fixture.connector, quick(), |job, lease| async move {
        if job.attempts == 1 {
            lease.complete_step("render", &json!("once")).await.unwrap();
        }
        if job.attempts <= 5 { Err(Failure::transient("still away")) } else { Ok(json!("back")) }
    });
    fixture.until_state(&id, State::Dead).await;
    assert_eq!(fixture.queue.retry(&id).await.unwrap(), Changed::To(State::Ready));
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
        number,
        shares: Shares::default(),
        ahead: 1,
    };
    let claimed = fixture.queue.claim(&claim(2, 1)).await.unwrap();
    assert_eq!(claimed.len(), 2);
    fixture.until_after(claimed.now + 1).await;
    let taken_over = fixture.queue.claim(&claim(0, 2)).await.unwrap();
    assert_eq!((taken_over.taken_over, taken_over.buried), (2, 1));
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
        number,
        shares: Shares::default(),
        ahead: 20,
    };
    let claimed = fixture.queue.claim(&claim(20, 1)).await.unwrap();
    assert_eq!(claimed.len(), 20);
    fixture.until_after(claimed.now + 1).await;
    let taken_over = fixture.queue.claim(&claim(20, 2)).await.unwrap();
    assert_eq!((taken_over.taken_over, taken_over.len()), (20, 0));
    let mut cmd = redis::cmd("ZRANGE");
    cmd.arg(fixture.queue.keys().scheduled()).arg(0).arg(-1).arg("WITHSCORES");
    let scheduled: Vec<(String, i64)> =
        cmd.query_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
    assert_eq!(scheduled.len(), 20);
    let due: BTreeSet<i64> = scheduled.iter().map(|(_, due)| due - taken_over.now).collect();
    assert!(due.iter().all(|wait| (5_000..=40_000).contains(wait)), "{due:?}");
    assert!(due.len() > 10 && due.last().unwrap() - due.first().unwrap() > 20_000, "{due:?}");
    assert_eq!(taken_over.next_at, taken_over.now + due.first().unwrap());
    fixture.finish().await;
}
