//! Sentinels: however the master ends, the same connection goes on with the next one.

use std::time::Duration;

use redis::{AsyncCommands, RedisResult};
use upshot_queue::{Connection, Connector, EnqueueResult, RedisOptions, connect::Listener};
use upshot_servers::RedisSentinels;

use crate::handles::Queue;

use crate::fixture::{
    PATIENCE, connector, enqueue, folder, heard, job, key, listen, options, queue, ready, until_ok, works,
    write_replicated,
};

/// A master that has been worked with.
struct Stage {
    redis: RedisSentinels,
    connector: Connector,
    conn: Connection,
    queue: Queue,
    job: upshot_queue::NewJob,
    listener: Listener,
    channel: String,
    key: String,
    before: u16,
}

impl Stage {
    async fn new() -> Self {
        let (dir, local) = folder();
        let redis = RedisSentinels::start(&dir, local).await.unwrap();
        let connector = connector(redis.url());
        let conn = connector.connect().unwrap();
        let (queue, job) = (queue(&connector, "work"), job());
        assert_eq!(enqueue(&queue, &job).await, EnqueueResult::Inserted);
        let key = key(&connector, "work");
        // Behind the job in the stream to the replica, which has both then.
        assert_eq!(write_replicated(&connector, &conn, &key, 1).await.unwrap(), 1);
        let channel = format!("{key}:channel");
        let mut listener = listen(&connector, &channel).await;
        heard(&mut listener, &conn, &channel).await;
        let before = redis.master_port().await.unwrap();
        Self { redis, connector, conn, queue, job, listener, channel, key, before }
    }

    /// The connection and the queue are those of before, and so is the job.
    async fn goes_on(&mut self) {
        let set =
            async |mut conn: Connection, key: &str| -> RedisResult<()> { conn.set(key, "coffee").await };
        until_ok("a write", || set(self.conn.clone(), &self.key)).await;
        assert_ne!(self.redis.master_port().await, Some(self.before));
        assert!(matches!(enqueue(&self.queue, &self.job).await, EnqueueResult::Duplicate { .. }));
        assert_eq!(ready(&self.queue).await, 1);
        let mut listener = listen(&self.connector, &self.channel).await;
        heard(&mut listener, &self.conn, &self.channel).await;
    }

    async fn listener_ends(&mut self) {
        let ended = async { while self.listener.next().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("the listener does not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_of_sentinels_works() {
    let (dir, local) = folder();
    let redis = RedisSentinels::start(&dir, local).await.unwrap();
    let connector = connector(redis.url());
    works(&connector).await;
    let conn = connector.connect().unwrap();
    let held = write_replicated(&connector, &conn, &key(&connector, "work"), 2).await.unwrap();
    assert_eq!(held, 1, "there is one replica, also for those who want two");

    let replicated = |replicas| {
        let options = RedisOptions {
            replicas,
            replicas_timeout: Duration::from_millis(200),
            prefix: connector.prefix().to_owned(),
            ..options(redis.url())
        };
        queue(&Connector::new(options).unwrap(), "work")
    };
    assert_eq!(replicated(1).enqueue(&[job()]).await.unwrap(), [EnqueueResult::Inserted]);
    let late = job();
    let refused = replicated(2).enqueue(std::slice::from_ref(&late)).await.unwrap_err().to_string();
    assert!(refused.starts_with("1 of 2 replicas"), "{refused}");
    assert!(matches!(enqueue(&replicated(1), &late).await, EnqueueResult::Duplicate { .. }));

    let unknown = Connector::new(options(redis.url().replace("/master", "/boss"))).unwrap();
    let error = unknown.ping(&mut unknown.connect().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("`boss`"), "{error}");
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_is_replaced() {
    let mut stage = Stage::new().await;
    stage.redis.servers()[0].kill().await.unwrap();
    stage.listener_ends().await;
    stage.goes_on().await;
    stage.redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_master_is_left() {
    let mut stage = Stage::new().await;
    stage.redis.servers()[0].pause().unwrap();
    // Nothing ends the connection; that nobody answers any more has to be noticed.
    stage.listener_ends().await;
    stage.goes_on().await;
    stage.redis.servers()[0].resume().unwrap();
    stage.redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_master_is_left() {
    let mut stage = Stage::new().await;
    stage.redis.fail_over().await.unwrap();
    stage.listener_ends().await;
    stage.goes_on().await;
    stage.redis.stop().await.unwrap();
}
