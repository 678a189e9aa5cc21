//! The one connection that listens for changes.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use futures::StreamExt;
use redis::{
    RedisError, RedisResult,
    aio::{PubSub, PubSubSink},
};
use upshot_queue::{QueueName, connect::Backoff};

use super::Inner;

/// How often a silent connection is asked whether it is still there, and how
/// long it may take to answer.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Listens while somebody watches; connects again after every loss.
pub(super) async fn run(inner: &Inner) {
    let mut backoff = Backoff::default();
    loop {
        while inner.registry.len() == 0 {
            inner.watched.notified().await;
        }
        let result = match inner.connector.listen().await {
            Ok(connection) => follow(inner, connection, &mut backoff).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "changes of jobs are not heard of: Redis does not answer");
            backoff.wait().await;
        }
    }
}

/// Follows one connection until it is lost, or nobody watches any more.
async fn follow(inner: &Inner, connection: PubSub, backoff: &mut Backoff) -> RedisResult<()> {
    let (mut sink, mut messages) = connection.split();
    let mut subscribed = HashMap::new();
    let mut ping = tokio::time::interval(PING);
    inner.registry.all_fresh();
    loop {
        if !subscribe(inner, &mut sink, &mut subscribed).await? {
            return Ok(());
        }
        backoff.reset();
        loop {
            tokio::select! {
                () = inner.watched.notified() => break,
                message = messages.next() => {
                    let Some(message) = message else { return Err(lost("it ended the connection")) };
                    if let Some(queue) = subscribed.get(message.get_channel_name()) {
                        let ids = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
                        mark(inner, queue, ids);
                    }
                }
                _ = ping.tick() => in_time(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }
}

/// Subscribes what is watched and not heard of yet, lets go of what is not
/// watched any more, then has the new jobs read. False when nothing is watched.
async fn subscribe(
    inner: &Inner,
    sink: &mut PubSubSink,
    subscribed: &mut HashMap<String, QueueName>,
) -> RedisResult<bool> {
    let (queues, fresh) = inner.registry.plan();
    let unwatched = |channel: &(&String, &QueueName)| !queues.contains(channel.1);
    let unwatched: Vec<String> =
        subscribed.iter().filter(unwatched).map(|(channel, _)| channel.clone()).collect();
    for channel in unwatched {
        in_time(sink.unsubscribe(channel.as_str())).await?;
        subscribed.remove(&channel);
    }
    for name in &queues {
        let Some(queue) = inner.queues.get(name) else { continue };
        if let Entry::Vacant(channel) = subscribed.entry(queue.keys().changes()) {
            in_time(sink.subscribe(channel.key().as_str())).await?;
            channel.insert(name.clone());
        }
    }
    let mut marked = false;
    for (queue, id) in fresh {
        marked |= inner.registry.mark(&queue, [id]);
    }
    if marked {
        inner.dirty.notify_one();
    }
    Ok(!queues.is_empty())
}

fn mark(inner: &Inner, queue: &QueueName, ids: &str) {
    if inner.registry.mark(queue, ids.split(' ').filter_map(|id| id.parse().ok())) {
        inner.dirty.notify_one();
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(PONG, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(lost("no answer in time")),
    }
}

fn lost(why: &'static str) -> RedisError {
    (redis::ErrorKind::Io, why).into()
}
