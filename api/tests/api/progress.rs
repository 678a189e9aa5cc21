//! A job while it is watched.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use upshot_queue::{Failure, JobId, Progress};

use crate::{
    fixture::{Fixture, NOBODY, body, job},
    stream::{Messages, request},
    worker::Worker,
};

/// A worker that does a step for every permit, three in all.
fn stepwise(fixture: &Fixture) -> (Worker, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let worker = Worker::start(&fixture.connector, "invoices", move |_, lease| {
        let gate = Arc::clone(&gate);
        async move {
            for (percent, step) in [(30, "render"), (60, "store"), (90, "send")] {
                gate.acquire().await.unwrap().forget();
                let progress = Progress { percent, step: Some(step.to_owned()), message: None };
                lease.progress(&progress).await.map_err(Failure::transient)?;
                lease.complete_step(step, &json!(null)).await.map_err(Failure::transient)?;
            }
            Ok(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]}))
        }
    });
    (worker, go)
}

#[tokio::test]
async fn a_watcher_sees_snapshot_changes_and_end() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await.to_string();
    let mut messages = Messages::open(&fixture, &id, None).await;
    let first = messages.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["state"]), ("snapshot", &json!("ready")));
    assert_eq!(first.data["steps"], json!([]));

    let (worker, go) = stepwise(&fixture);
    let running = messages.until(|message| message.data["state"] == "running").await;
    assert_eq!((running.name.as_str(), &running.data["attempts"]), ("change", &json!(1)));
    go.add_permits(1);
    let rendered = messages.until(|message| message.data["steps"] == json!(["render"])).await;
    assert_eq!(rendered.data["progress"], json!({"percent": 30, "step": "render", "message": null}));
    go.add_permits(2);
    let done = messages.until(|message| message.data["state"] == "succeeded").await;
    assert_eq!((done.name.as_str(), &done.data["outcome"]["summary"]), ("change", &json!("sent")));
    let end = messages.next().await.unwrap();
    assert_eq!((end.name.as_str(), &end.id, &end.data), ("end", &done.id, &done.data));
    assert!(messages.next().await.is_none());

    // Whoever comes later is told the same in two events.
    let mut late = Messages::open(&fixture, &id, None).await;
    assert_eq!(late.next().await.unwrap().name, "snapshot");
    assert_eq!(late.next().await.unwrap().name, "end");
    assert!(late.next().await.is_none());
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_watcher_that_comes_back_gets_no_snapshot_of_what_it_has_seen() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await.to_string();
    let (worker, go) = stepwise(&fixture);
    let mut messages = Messages::open(&fixture, &id, None).await;
    let running = messages.until(|message| message.data["state"] == "running").await;
    drop(messages);

    let mut again = Messages::open(&fixture, &id, Some(&running.id)).await;
    // Another watcher of the same job has its snapshot by now, so the first
    // reading has come to this one too, and said nothing.
    let mut other = Messages::open(&fixture, &id, Some("0.0.ready")).await;
    let snapshot = other.next().await.unwrap();
    assert_eq!((snapshot.name.as_str(), &snapshot.id), ("snapshot", &running.id));
    go.add_permits(1);
    let next = again.next().await.unwrap();
    assert_eq!(next.name, "change");
    assert_eq!(next.data["progress"]["percent"], 30);

    go.add_permits(2);
    let end = again.until(|message| message.name == "end").await;
    other.until(|message| message.name == "end").await;
    assert_eq!(request(&fixture, &id, Some(&end.id)).await.status(), 204);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn many_watchers_of_many_jobs_all_see_the_end() {
    let fixture = Fixture::new().await;
    let mut streams = Vec::new();
    for n in 0..20 {
        let queue = if n % 2 == 0 { "emails" } else { "invoices" };
        let id = fixture.enqueue(queue, job(&n.to_string(), "k")).await;
        for _ in 0..3 {
            let mut messages = Messages::open(&fixture, id.as_str(), None).await;
            assert_eq!(messages.next().await.unwrap().data["state"], "ready");
            streams.push(messages);
        }
    }
    let done = |_, _| async { Ok(json!(null)) };
    let workers = ["emails", "invoices"].map(|queue| Worker::start(&fixture.connector, queue, done));
    for messages in &mut streams {
        messages.until(|message| message.name == "end").await;
        assert!(messages.next().await.is_none());
    }
    for worker in workers {
        worker.stop().await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_stream_survives_a_restart_of_redis_and_misses_nothing() {
    let mut redis = upshot_testkit::own_redis().await;
    let fixture = Fixture::on(&redis.url(), &format!("amqp://{NOBODY}")).await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await.to_string();
    let mut messages = Messages::open(&fixture, &id, None).await;
    assert_eq!(messages.next().await.unwrap().name, "snapshot");
    redis.kill().await.unwrap();
    redis.restart().await.unwrap();
    let (worker, go) = stepwise(&fixture);
    go.add_permits(3);
    messages.until(|message| message.name == "end").await;
    worker.stop().await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}

/// In a cluster a message may be lost on its way between two nodes.
#[tokio::test]
async fn a_change_that_nobody_told_of_is_seen_all_the_same() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    assert_eq!(messages.next().await.unwrap().data["state"], "ready");
    let key = fixture.queue("invoices").keys().job(&id);
    let mut redis = fixture.connector.connect().unwrap();
    let mut change = redis::cmd("HSET");
    change.arg(key).arg("state").arg("cancelled 1000").exec_async(&mut redis).await.unwrap();
    assert_eq!(messages.next().await.unwrap().data["state"], "cancelled");
    assert_eq!(messages.next().await.unwrap().name, "end");
    fixture.finish().await;
}

#[tokio::test]
async fn streams_end_when_the_api_stops() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await.to_string();
    let mut messages = Messages::open(&fixture, &id, None).await;
    assert_eq!(messages.next().await.unwrap().name, "snapshot");
    fixture.stop();
    assert!(messages.next().await.is_none());
    fixture.finish().await;
}

#[tokio::test]
async fn an_unknown_job_cannot_be_watched() {
    let fixture = Fixture::new().await;
    body(request(&fixture, JobId::random().as_str(), None).await, 404).await;
    body(request(&fixture, "nonsense", None).await, 400).await;
    fixture.finish().await;
}
