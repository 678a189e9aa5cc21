//! A worker at work while its Redis is replaced, or a node of its cluster restarts.

use std::future::Future;

use serde_json::json;
use upshot_queue::{Connector, Error, JobId, NewJob, RedisOptions as QueueOptions, State, connect::Backoff};
use upshot_servers::{RedisCluster, RedisOptions, RedisSentinels, RedisServer};

use crate::handles::Queue;

use crate::fixture::{Fixture, PATIENCE, Worker, name, options};

const BATCHES: usize = 20;
const BATCH: usize = 20;

fn ephemeral() -> RedisOptions {
    RedisOptions { ephemeral: true, ..Default::default() }
}

/// Asks until it succeeds, as bridge and API do.
async fn until_ok<T, F: Future<Output = Result<T, Error>>>(mut ask: impl FnMut() -> F) -> T {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(_) => backoff.wait().await,
        }
    }
}

/// Enqueues while a worker works and `broken` happens. No job may be lost, and
/// none may be there twice.
async fn goes_on(url: String, replicas: usize, broken: impl Future<Output = ()>) {
    let fixture = Fixture::on(url.clone());
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    let producer = QueueOptions { replicas, ..QueueOptions::new(url, fixture.connector.prefix()) };
    let producer = Queue::new(&Connector::new(producer).unwrap(), name()).unwrap();
    let enqueue = async |batches: usize| {
        for _ in 0..batches {
            let jobs: Vec<NewJob> = (0..BATCH).map(|_| NewJob::new(JobId::random(), "test", "")).collect();
            until_ok(|| producer.enqueue(&jobs)).await;
        }
    };
    let working = async {
        enqueue(BATCHES / 2).await;
        tokio::join!(broken, enqueue(BATCHES / 2));
        let mut backoff = Backoff::default();
        while until_ok(|| fixture.queue.counts()).await.of(State::Succeeded) < (BATCHES * BATCH) as u64 {
            backoff.wait().await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, working).await;
    assert!(done.is_ok(), "not all jobs were done: {:?}", fixture.queue.counts().await);
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!(counts.of(State::Succeeded), (BATCHES * BATCH) as u64, "{counts:?}");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_with_every_job_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap().keep();
    let mut redis = RedisSentinels::start(&dir, ephemeral()).await.unwrap();
    let url = redis.url();
    let old = redis.master_port().await;
    // With no replica left nothing is accepted; the old master comes back as one,
    // and only after it was replaced: before, it would just go on.
    let broken = async {
        redis.servers()[0].kill().await.unwrap();
        let mut backoff = Backoff::default();
        while redis.master_port().await == old {
            backoff.wait().await;
        }
        redis.servers()[0].restart().await.unwrap();
    };
    goes_on(url, 1, broken).await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_in_a_cluster_takes_over_with_every_job_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap().keep();
    let mut cluster = RedisCluster::start_with_replicas(&dir, ephemeral()).await.unwrap();
    let url = cluster.url();
    let slot = ask(&mut cluster.nodes()[0], &["CLUSTER", "KEYSLOT", &format!("{{{}}}", name())]).await;
    let slot: usize = slot.parse().unwrap();
    // Each of the first three has a third of the slots, and is followed by its
    // replica three places on.
    let owner = (slot * 3 / 16_384).min(2);
    // With no replica left nothing is accepted; the old master comes back as one,
    // and only after it was replaced: before, it would just go on.
    let broken = async {
        cluster.nodes()[owner].kill().await.unwrap();
        let mut backoff = Backoff::default();
        while !ask(&mut cluster.nodes()[owner + 3], &["INFO", "replication"]).await.contains("role:master") {
            backoff.wait().await;
        }
        cluster.nodes()[owner].restart().await.unwrap();
    };
    goes_on(url, 1, broken).await;
    cluster.stop().await.unwrap();
}

/// What one node says of itself.
async fn ask(node: &mut RedisServer, words: &[&str]) -> String {
    let client = redis::Client::open(node.url()).unwrap();
    let mut conn = client.get_multiplexed_async_connection().await.unwrap();
    let mut cmd = redis::cmd(words[0]);
    let told: redis::Value = cmd.arg(&words[1..]).query_async(&mut conn).await.unwrap();
    match told {
        redis::Value::Int(number) => number.to_string(),
        told => redis::from_redis_value(told).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_on_a_cluster_survives_the_restart_of_every_node() {
    let dir = tempfile::tempdir().unwrap().keep();
    let mut cluster = RedisCluster::start(&dir, ephemeral()).await.unwrap();
    let url = cluster.url();
    for node in cluster.nodes() {
        // By itself Redis may owe a second of answers to a disk that is slow, and
        // a kill would lose it.
        let client = redis::Client::open(node.url()).unwrap();
        let mut conn = client.get_multiplexed_async_connection().await.unwrap();
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("appendfsync").arg("always").exec_async(&mut conn).await.unwrap();
    }
    let broken = async {
        for node in 0..3 {
            cluster.nodes()[node].kill().await.unwrap();
            cluster.nodes()[node].restart().await.unwrap();
        }
    };
    goes_on(url, 0, broken).await;
    cluster.stop().await.unwrap();
}
