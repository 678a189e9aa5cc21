//! Redis goes away and comes back.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Notify, mpsc};
use upshot_queue::{JobId, NewJob, State};
use upshot_servers::Proxy;

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
        let job = NewJob::new(JobId::random(), "test", "");
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
    let job = NewJob::new(JobId::random(), "test", "");
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
    let ghost = JobId::random();
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

/// The claim was in the second that a crash of Redis, or a failover, took with it. The same
/// worker is given the job again, under the same token.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_claim_redis_forgot_runs_once_and_is_renewed() {
    let redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let (started, mut begun) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let worker = Worker::start(&fixture.connector, options(), move |_, lease| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(lease).unwrap();
            gate.notified().await;
            Ok(json!(null))
        }
    });
    let job = NewJob::new(JobId::random(), "test", "");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let first = begun.recv().await.unwrap();
    let mut admin = fixture.connector.connect().unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut admin).await.unwrap();
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let second = begun.recv().await.unwrap();
    assert_eq!((first.token(), second.token()), (1, 1));
    assert!(first.lost().is_cancelled());
    drop(first);
    // Three leases: without renewals it would have been taken over.
    let running = fixture.until_state(&job.id, State::Running).await;
    fixture.until_after(running.since + 3 * 900).await;
    assert!(!second.lost().is_cancelled());
    drop(second);
    go.notify_one();
    let done = fixture.until_state(&job.id, State::Succeeded).await;
    assert_eq!((done.attempts, done.failures.len()), (1, 0), "{done:?}");
    assert!(begun.try_recv().is_err(), "it was started again");
    worker.stop().await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}
