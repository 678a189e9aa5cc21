//! Workers tell the queue that they are there.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{Kinds, Workers};

use crate::{
    fixture::{Fixture, PATIENCE, Worker, options},
    handles::Queue,
};

/// Waits until the workers are as wanted.
pub async fn until_workers(queue: &Queue, wanted: impl Fn(&Workers) -> bool) -> Workers {
    let waiting = async {
        loop {
            let workers = queue.workers().await.unwrap();
            if wanted(&workers) {
                return workers;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the workers never are what the test waits for")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_there_until_it_stops() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    assert_eq!(queue.workers().await.unwrap(), Workers::default());
    let done = |_, _| async { Ok(json!(null)) };
    let kinds = Kinds { known: [("test".to_owned(), 2)].into(), build: "v7".to_owned() };
    let knows = upshot_queue::WorkerOptions { kinds: Some(kinds), concurrency: 5, ..options() };
    let lease = Duration::from_secs(60);
    let knows = Worker::start(&fixture.connector, upshot_queue::WorkerOptions { lease, ..knows }, done);
    let workers = until_workers(queue, |workers| workers.count == 1).await;
    let seen = &workers.seen[0];
    assert_eq!((seen.slots, seen.build.as_str()), (5, "v7"));
    assert!(workers.run("test", 2) && !workers.run("test", 1) && !workers.run("other", 2), "{workers:?}");
    let any = Worker::start(&fixture.connector, upshot_queue::WorkerOptions { lease, ..options() }, done);
    let workers = until_workers(queue, |workers| workers.count == 2).await;
    assert!(workers.run("other", 1), "one of them runs every kind: {workers:?}");
    // Both took themselves out when they stopped: their leases would have lasted for minutes.
    knows.stop().await;
    assert_eq!(queue.workers().await.unwrap().count, 1);
    any.stop().await;
    assert_eq!(queue.workers().await.unwrap(), Workers::default());
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_forgotten_after_its_leases() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let done = |_, _| async { Ok(json!(null)) };
    let killed = Worker::start(&fixture.connector, options(), done);
    let workers = until_workers(queue, |workers| workers.count == 1).await;
    killed.kill().await;
    assert_eq!(queue.workers().await.unwrap().count, 1, "it may come back within its leases");
    until_workers(queue, |workers| workers.count == 0).await;
    // The next worker that tells removes what is left of it.
    let next = Worker::start(&fixture.connector, options(), done);
    let there = until_workers(queue, |workers| workers.count == 1).await;
    assert_ne!(there.seen[0].name, workers.seen[0].name);
    let mut left = redis::cmd("HLEN");
    left.arg(queue.keys().worker_facts());
    let left: u64 = left.query_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
    assert_eq!(left, 1);
    next.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_clock_that_was_ahead_is_forgotten_too() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let mut conn = fixture.connector.connect().unwrap();
    let ahead = queue.worker.mind_clock().await.unwrap().now + 3_600_000;
    let mut pipe = redis::pipe();
    pipe.cmd("ZADD").arg(queue.keys().workers()).arg(ahead).arg("gone");
    let facts = "{\"slots\":1,\"build\":\"\",\"host\":\"\",\"lasts\":1}\n*\n";
    pipe.cmd("HSET").arg(queue.keys().worker_facts()).arg("gone").arg(facts);
    pipe.cmd("HSET").arg(queue.keys().control()).arg("clock").arg(ahead);
    pipe.exec_async(&mut conn).await.unwrap();
    assert_eq!(queue.workers().await.unwrap().count, 1);
    assert_eq!(queue.worker.mind_clock().await.unwrap().anew, 1);
    until_workers(queue, |workers| workers.count == 0).await;
    fixture.finish().await;
}
