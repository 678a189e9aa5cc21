//! A stop in good order: who runs is told, and what does not run here runs elsewhere. The
//! grace of these workers never ends: what another one runs was handed back because the stop
//! began.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use upshot_queue::{JobId, Lease, NewJob, Release, Snooze, State, WorkerOptions};
use upshot_servers::Proxy;

use crate::fixture::{Fixture, PATIENCE, Worker, options};

/// Another worker, which does what it gets.
fn elsewhere(fixture: &Fixture) -> Worker {
    Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!("elsewhere")) })
}

/// Says that it runs, and again when it is told of the stop; ends when `gate` opens.
async fn outlast(
    lease: Lease,
    said: mpsc::UnboundedSender<()>,
    gate: Arc<Notify>,
) -> Result<Value, upshot_queue::Stop> {
    said.send(())?;
    lease.stopping().cancelled().await;
    said.send(())?;
    gate.notified().await;
    Ok(json!("here"))
}

/// Waits until a handler says something.
async fn hear(said: &mut mpsc::UnboundedReceiver<()>) {
    let waiting = tokio::time::timeout(PATIENCE, said.recv());
    waiting.await.expect("the handler says nothing").expect("there is no handler any more");
}

/// Begins a stop: as a service does, which says so itself, or as apalis alone does.
fn tell(worker: &Worker, as_a_service: Option<&WorkerOptions>) {
    match as_a_service {
        Some(options) => options.stop.cancel(),
        None => worker.tell(),
    }
}

#[tokio::test]
async fn a_handler_that_is_told_hands_its_job_back_and_another_worker_runs_it() {
    let fixture = Fixture::new().await;
    let back: [fn() -> upshot_queue::Stop; 2] = [
        || Release::new("the worker stops").into(),
        || Snooze { wait: Duration::ZERO, why: "the worker stops".to_owned() }.into(),
    ];
    for (hand_back, did) in back.into_iter().zip(["released", "snoozed"]) {
        for by_token in [true, false] {
            let id = fixture.enqueue(1).await.remove(0);
            let (said, mut begun) = mpsc::unbounded_channel();
            let options = options();
            let worker = Worker::start_any(&fixture.connector, options.clone(), move |_, lease| {
                let said = said.clone();
                async move {
                    assert!(!lease.stopping().is_cancelled(), "nobody stops yet");
                    said.send(())?;
                    lease.stopping().cancelled().await;
                    Err::<Value, _>(hand_back())
                }
            });
            hear(&mut begun).await;
            let other = elsewhere(&fixture);
            tell(&worker, by_token.then_some(&options));
            let job = fixture.until_state(&id, State::Succeeded).await;
            assert_eq!((job.attempts, job.token, job.history.len()), (1, 2, 0), "one does not count");
            assert_eq!(job.outcome, Some(json!("elsewhere")));
            let change = &job.changes[0];
            assert_eq!((change.did.as_str(), change.note.as_deref()), (did, Some("the worker stops")));
            worker.stop().await;
            other.stop().await;
        }
    }
    fixture.finish().await;
}

/// Jobs are claimed when there are places for them, and start when apalis takes them: it does
/// not while it is paused, and never does once it stops.
#[tokio::test]
async fn what_was_claimed_and_has_not_started_is_handed_back_when_the_stop_begins() {
    let fixture = Fixture::new().await;
    for by_token in [true, false] {
        let first = fixture.enqueue(1).await.remove(0);
        let (said, mut heard) = mpsc::unbounded_channel();
        let gate = Arc::new(Notify::new());
        let opened = Arc::clone(&gate);
        let options = options();
        let worker = Worker::start_beside(&fixture.connector, options.clone(), move |_, lease, apalis| {
            apalis.pause().unwrap();
            outlast(lease, said.clone(), Arc::clone(&opened))
        });
        hear(&mut heard).await;
        let held = fixture.enqueue(5).await;
        fixture.until_count(State::Running, 6).await;
        let other = elsewhere(&fixture);
        tell(&worker, by_token.then_some(&options));
        for id in &held {
            let job = fixture.until_state(id, State::Succeeded).await;
            assert_eq!((job.attempts, job.token, job.history.len()), (1, 2, 0));
            assert_eq!((job.changes[0].did.as_str(), job.outcome), ("released", Some(json!("elsewhere"))));
        }
        assert_eq!(fixture.queue.job(&first).await.unwrap().unwrap().state, State::Running);
        gate.notify_one();
        worker.stop().await;
        let job = fixture.queue.job(&first).await.unwrap().unwrap();
        assert_eq!((job.state, job.outcome), (State::Succeeded, Some(json!("here"))), "who runs may finish");
        other.stop().await;
    }
    fixture.finish().await;
}

/// Redis has leased them, and nobody here knows yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_is_answered_after_the_stop_is_handed_back_at_once() {
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let (said, mut heard) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let options = options();
    let worker = Worker::start_any(&connector, options.clone(), move |_, lease| {
        outlast(lease, said.clone(), Arc::clone(&opened))
    });
    fixture.enqueue(1).await;
    hear(&mut heard).await;
    let late = NewJob::new(JobId::random(), "test", "");
    let name = late.id.clone();
    let mut answer = proxy.hold_reply(move |_, piece| {
        piece.windows(name.as_str().len()).any(|part| part == name.as_str().as_bytes())
    });
    fixture.queue.enqueue(std::slice::from_ref(&late)).await.unwrap();
    answer.reached().await;
    tell(&worker, Some(&options));
    hear(&mut heard).await;
    let other = elsewhere(&fixture);
    answer.release();
    let job = fixture.until_state(&late.id, State::Succeeded).await;
    assert_eq!((job.attempts, job.token, job.outcome), (1, 2, Some(json!("elsewhere"))));
    gate.notify_one();
    worker.stop().await;
    other.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn nothing_is_claimed_while_the_last_handlers_finish() {
    let fixture = Fixture::new().await;
    let (said, mut heard) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let options = WorkerOptions { poll: Duration::from_millis(10), ..options() };
    let worker = Worker::start_any(&fixture.connector, options, move |_, lease| {
        outlast(lease, said.clone(), Arc::clone(&opened))
    });
    fixture.enqueue(1).await;
    hear(&mut heard).await;
    tell(&worker, None);
    hear(&mut heard).await;
    let waiting = fixture.enqueue(3).await;
    // It was woken by now, and has looked by itself as well.
    let enqueued = fixture.queue.job(&waiting[2]).await.unwrap().unwrap().enqueued_at;
    fixture.until_after(enqueued + 300).await;
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("claimed"), 1);
    gate.notify_one();
    worker.stop().await;
    assert_eq!(fixture.queue.counts().await.unwrap().of(State::Ready), 3);
    fixture.finish().await;
}

/// Redis is frozen from the stop on: nothing that ends can be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_at_the_end_of_the_grace_although_redis_does_not_answer() {
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let (said, mut heard) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let options = options();
    let worker = Worker::start_any(&connector, options.clone(), move |_, lease| {
        outlast(lease, said.clone(), Arc::clone(&opened))
    });
    let ids = fixture.enqueue(2).await;
    hear(&mut heard).await;
    hear(&mut heard).await;
    proxy.blackhole().await;
    tell(&worker, Some(&options));
    hear(&mut heard).await;
    hear(&mut heard).await;
    // One handler has ended and one is interrupted: neither end can be written.
    gate.notify_one();
    options.interrupt.cancel();
    options.abandon.cancel();
    worker.stop().await;
    // Their leases run out, and another worker runs them.
    let other = elsewhere(&fixture);
    for id in &ids {
        let job = fixture.until_state(id, State::Succeeded).await;
        assert_eq!((job.token, job.outcome), (2, Some(json!("elsewhere"))));
    }
    other.stop().await;
    proxy.heal().await;
    fixture.finish().await;
}
