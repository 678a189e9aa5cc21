//! A worker that is cut off: its jobs are taken over, its late writes refused.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Notify, mpsc};
use upshot_queue::{FailureClass, Lease, RetryPolicy, State, WorkerOptions};
use upshot_servers::Proxy;

use crate::fixture::{Fixture, Worker, options};

/// A worker whose connection goes through a proxy, holding one job.
async fn cut_off(
    fixture: &Fixture,
    options: WorkerOptions,
) -> (Proxy, Worker, mpsc::UnboundedReceiver<Lease>, Arc<Notify>) {
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let (started, begun) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let worker = Worker::start(&connector, options, move |_, lease| {
        started.send(lease).unwrap();
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(json!("late"))
        }
    });
    (proxy, worker, begun, go)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_writes_are_refused_and_counted() {
    let fixture = Fixture::single().await;
    let id = fixture.enqueue(1).await.remove(0);
    let (proxy, paused, mut begun, _go) = cut_off(&fixture, options()).await;
    let lease = begun.recv().await.unwrap();
    proxy.blackhole().await;

    let other = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!("taken over")) });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome, done.attempts), (Some(json!("taken over")), 2));
    assert_eq!(done.history[0].class, FailureClass::Crashed);

    proxy.cut().await;
    proxy.heal().await;
    // The old attempt finds out by itself and its future is dropped.
    lease.lost().cancelled().await;
    assert!(lease.verify().await.is_err());
    assert!(lease.complete_step("render", &json!(1)).await.is_err());
    let after = fixture.queue.job(&id).await.unwrap().unwrap();
    assert!(after.steps.is_empty());
    assert_eq!(after.outcome, Some(json!("taken over")));
    // The late renewal and the late step.
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("refused"), 2);
    drop(lease);
    other.stop().await;
    paused.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_its_worker_down_dies_after_its_budget() {
    let fixture = Fixture::single().await;
    let id = fixture.enqueue(1).await.remove(0);
    let fragile = WorkerOptions { retry: RetryPolicy { crashed: 0, ..RetryPolicy::default() }, ..options() };
    let (proxy, killed, mut begun, go) = cut_off(&fixture, fragile.clone()).await;
    drop(begun.recv().await.unwrap());
    proxy.blackhole().await;

    let other = Worker::start(&fixture.connector, fragile, |_, _| async { Ok(json!(null)) });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!((dead.attempts, dead.failures.get(&FailureClass::Crashed)), (1, Some(&1)));
    proxy.cut().await;
    proxy.heal().await;
    go.notify_one();
    other.stop().await;
    killed.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_renewed_is_never_reclaimed() {
    let fixture = Fixture::single().await;
    let id = fixture.enqueue(1).await.remove(0);
    let slow = Worker::start(&fixture.connector, options(), |_, lease| async move {
        // Three leases long, told by the lease's own clock.
        for _ in 0..3 {
            tokio::time::sleep(lease.duration()).await;
        }
        Ok(json!("mine"))
    });
    fixture.until_state(&id, State::Running).await;
    let other = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!("stolen")) });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome, done.attempts), (Some(json!("mine")), 1));
    slow.stop().await;
    other.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_is_lost_is_answered_again() {
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let mut answer = proxy.hold_reply(|_, bytes| bytes.windows(11).any(|part| part == b"unmistaken!"));
    let worker = Worker::start(&connector, options(), |job, _| async move { Ok(json!(job.attempts)) });
    let job = upshot_queue::NewJob::new(upshot_queue::JobId::random(), "test", "unmistaken!");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    answer.reached().await;
    proxy.cut().await;
    let done = fixture.until_state(&job.id, State::Succeeded).await;
    assert_eq!((done.outcome, done.token), (Some(json!(1)), 1), "it was leased once");
    assert!(done.history.is_empty());
    worker.stop().await;
    fixture.finish().await;
}
