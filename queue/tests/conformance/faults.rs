//! Redis goes away and comes back.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Notify, mpsc};
use upshot_local::Proxy;
use upshot_queue::State;

use crate::fixture::{Fixture, Worker, options, own_redis};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_a_restart_of_redis() {
    let mut redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    let first = fixture.enqueue(1).await.remove(0);
    fixture.until_state(&first, State::Succeeded).await;

    redis.restart().await.unwrap();
    let more = loop {
        // The connection is made anew at the first call after the loss.
        let job = upshot_queue::NewJob::new(upshot_queue::JobId::random(), "test", "");
        if fixture.queue.enqueue(std::slice::from_ref(&job)).await.is_ok() {
            break job.id;
        }
    };
    fixture.until_state(&more, State::Succeeded).await;
    worker.stop().await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_redis_was_away_is_written_when_it_is_back() {
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let (started, mut begun) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let worker = Worker::start(&connector, options(), move |_, _| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(()).unwrap();
            gate.notified().await;
            Ok(json!("kept"))
        }
    });
    let id = fixture.enqueue(1).await.remove(0);
    begun.recv().await.unwrap();
    proxy.refuse().await;
    proxy.cut().await;
    go.notify_one();
    proxy.heal().await;
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome, done.attempts), (Some(json!("kept")), 1));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_memory_limit_redis_refuses_new_jobs_and_lets_workers_finish() {
    let redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let mut admin = fixture.connector.connect().unwrap();
    let (started, mut begun) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let worker = Worker::start(&fixture.connector, options(), move |_, lease| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(()).unwrap();
            gate.notified().await;
            lease.complete_step("render", &json!(1)).await.unwrap();
            Ok(json!("finished"))
        }
    });
    let id = fixture.enqueue(1).await.remove(0);
    begun.recv().await.unwrap();
    let limit = |bytes: u64| {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("maxmemory").arg(bytes);
        cmd
    };
    limit(1).exec_async(&mut admin).await.unwrap();
    let job = upshot_queue::NewJob::new(upshot_queue::JobId::random(), "test", "");
    let refused = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap_err().to_string();
    assert!(refused.contains("OOM"), "{refused}");
    go.notify_one();
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome, done.attempts), (Some(json!("finished")), 1));
    limit(0).exec_async(&mut admin).await.unwrap();
    worker.stop().await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_entry_without_a_job_is_dropped() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.connector.connect().unwrap();
    let ghost = upshot_queue::JobId::random();
    let keys = fixture.queue.keys();
    for index in [keys.scheduled(), keys.running()] {
        redis::cmd("ZADD").arg(index).arg(1).arg(ghost.as_str()).exec_async(&mut admin).await.unwrap();
    }
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    let id = fixture.enqueue(1).await.remove(0);
    fixture.until_state(&id, State::Succeeded).await;
    assert!(fixture.queue.job(&ghost).await.unwrap().is_none());
    worker.stop().await;
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Ready), counts.of(State::Scheduled)), (0, 0));
    fixture.finish().await;
}
