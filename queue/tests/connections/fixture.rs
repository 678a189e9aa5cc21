//! Servers of a test's own, and what is asked of every connection.

use std::{future::Future, path::PathBuf, time::Duration};

use redis::{AsyncCommands, RedisResult, Value};
use upshot_queue::{
    Connection, Connector, EnqueueResult, JobId, NewJob, QueueName, RedisOptions, State,
    connect::{Backoff, Heard, Listener},
};
use upshot_servers::RedisOptions as Local;

use crate::handles::Queue;

/// Nothing here takes this long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An ephemeral server in a folder of its own.
pub fn folder() -> (PathBuf, Local) {
    (tempfile::tempdir().unwrap().keep(), Local { ephemeral: true, ..Local::default() })
}

/// The line for Redis' ACL that docs/redis-acl.md has, with another prefix, and what a
/// cluster needs besides.
pub fn documented_user(prefix: &str) -> (String, String) {
    let text = include_str!("../../../docs/redis-acl.md");
    let line = text.lines().find_map(|line| line.strip_prefix("user ")).expect("a line of the ACL");
    let cluster = text.split("On a cluster it needs `").nth(1).and_then(|rest| rest.split('`').next());
    (line.replace("upshot:*", &format!("{prefix}:*")), cluster.expect("what a cluster needs").to_owned())
}

/// Options with a key prefix of their own. A silent server is noticed soon.
pub fn options(url: impl Into<String>) -> RedisOptions {
    let prefix = format!("t{}", JobId::random());
    RedisOptions { response_timeout: Duration::from_secs(3), ..RedisOptions::new(url, prefix) }
}

pub fn connector(url: impl Into<String>) -> Connector {
    Connector::new(options(url)).unwrap()
}

pub fn queue(connector: &Connector, name: &str) -> Queue {
    Queue::new(connector, name.parse::<QueueName>().unwrap()).unwrap()
}

pub fn job() -> NewJob {
    NewJob::new(JobId::random(), "test", "1")
}

/// A key of this connector's own, in the slot of the queue.
pub fn key(connector: &Connector, queue: &str) -> String {
    format!("{}:{{{queue}}}:test", connector.prefix())
}

/// Asks again until it succeeds, as every loop of a worker does.
pub async fn until_ok<T, E: std::fmt::Display, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let mut last = String::new();
    let mut backoff = Backoff::default();
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => last = error.to_string(),
            }
            backoff.wait().await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, asking).await;
    done.unwrap_or_else(|_| panic!("{what} never succeeds: {last}"))
}

/// Enqueues one job until that succeeds, and says what became of it.
pub async fn enqueue(queue: &Queue, job: &NewJob) -> EnqueueResult {
    let batch = std::slice::from_ref(job);
    until_ok("an enqueue", || queue.enqueue(batch)).await.remove(0)
}

/// The number of jobs that are ready.
pub async fn ready(queue: &Queue) -> u64 {
    until_ok("a count", || queue.counts()).await.of(State::Ready)
}

/// Listens on the channel until the listener has really subscribed.
pub async fn listen(connector: &Connector, channel: &str) -> Listener {
    until_ok("a listener", || async {
        let mut listener = connector.listen().await?;
        listener.subscribe(channel).await?;
        RedisResult::Ok(listener)
    })
    .await
}

/// Publishes until the listener has heard it: a cluster may lose a message.
pub async fn heard(listener: &mut Listener, conn: &Connection, channel: &str) {
    let hearing = async {
        loop {
            until_ok("a message", || {
                let mut conn = conn.clone();
                async move {
                    // Which of a cluster's nodes it is told makes no difference.
                    let _: i64 =
                        redis::cmd("PUBLISH").arg(channel).arg("hello").query_async(&mut conn).await?;
                    RedisResult::Ok(())
                }
            })
            .await;
            if let Heard::Message(message) = listener.next().await.expect("the listener ended") {
                return message.get_payload::<String>().unwrap();
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, hearing).await.expect("nothing was heard");
    assert_eq!(said, "hello");
}

/// What every connection does: values, scripts, pages of keys, messages.
pub async fn works(connector: &Connector) {
    let mut conn = connector.connect().unwrap();
    // A machine that is busy with other tests may be late with the first handshakes.
    until_ok("a ping", || {
        let mut conn = conn.clone();
        async move { connector.ping(&mut conn).await }
    })
    .await;
    let own = key(connector, "work");
    let () = conn.set(&own, "tea").await.unwrap();
    assert_eq!(conn.get::<_, String>(&own).await.unwrap(), "tea");

    let queue = queue(connector, "work");
    let first = job();
    assert_eq!(enqueue(&queue, &first).await, EnqueueResult::Inserted);
    // A restart forgets the scripts; they are loaded again.
    let flushed = redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut conn).await;
    // Not every user may.
    assert!(flushed.is_ok() || flushed.unwrap_err().code() == Some("NOPERM"));
    assert_eq!(
        enqueue(&queue, &first).await,
        EnqueueResult::Duplicate { id: first.id.clone(), state: State::Ready }
    );
    assert_eq!(ready(&queue).await, 1);

    let (mut cursor, mut found) = (0, Vec::new());
    loop {
        let pattern = format!("{}:*", connector.prefix());
        let (next, page) = conn.scan_page(&own, cursor, &pattern, 10).await.unwrap();
        found.extend(page);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert!(found.contains(&own), "{found:?}");

    let channel = format!("{own}:channel");
    let mut listener = listen(connector, &channel).await;
    heard(&mut listener, &conn, &channel).await;
}

/// A write of the key, and how many replicas have it.
pub async fn write_replicated(
    connector: &Connector,
    conn: &Connection,
    key: &str,
    replicas: usize,
) -> RedisResult<usize> {
    let options = RedisOptions { replicas, ..RedisOptions::new("redis://h", connector.prefix()) };
    let wanted = Connector::new(options)?.replicas().expect("replicas");
    let mut cmd = redis::cmd("SET");
    cmd.arg(key).arg("tea");
    let wanted = upshot_queue::connect::Replicas { timeout: Duration::from_millis(500), ..wanted };
    let (reply, acknowledged) = conn.clone().write_replicated(&cmd, key, wanted).await?;
    assert_eq!(reply, Value::Okay);
    Ok(acknowledged)
}
