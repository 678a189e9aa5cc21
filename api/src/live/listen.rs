//! The one connection that listens for changes.

use std::collections::{HashMap, hash_map::Entry};

use redis::RedisResult;
use upshot_queue::{
    QueueName,
    connect::{Backoff, Cause, Heard, Listener, Outage, told},
};

use super::Inner;

/// Listens while there are watchers; connects again after every loss.
pub(super) async fn run(inner: &Inner) {
    let (mut backoff, outage) = (Backoff::default(), Outage::default());
    loop {
        while inner.registry.len() == 0 {
            inner.watched.notified().await;
        }
        let result = match inner.connector.listen().await {
            Ok(listener) => follow(inner, listener, &mut backoff, &outage).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            if outage.begins(Cause::of(&error)) {
                tracing::warn!(why = told(&error), "changes of jobs do not arrive");
            }
            backoff.wait().await;
        }
    }
}

/// Follows one connection until it is lost or the last watcher is gone.
async fn follow(
    inner: &Inner,
    mut listener: Listener,
    backoff: &mut Backoff,
    outage: &Outage,
) -> RedisResult<()> {
    let mut subscribed = HashMap::new();
    inner.registry.all_fresh();
    loop {
        if !subscribe(inner, &mut listener, &mut subscribed).await? {
            return Ok(());
        }
        backoff.reset();
        if outage.ends() {
            tracing::info!("changes of jobs arrive again");
        }
        loop {
            tokio::select! {
                () = inner.watched.notified() => break,
                heard = listener.next() => match heard? {
                    Heard::Message(message) => {
                        if let Some(queue) = subscribed.get(message.get_channel_name()) {
                            let ids = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
                            mark(inner, queue, ids);
                        }
                    }
                    Heard::Checked => {
                        inner.registry.all_fresh();
                        break;
                    }
                },
            }
        }
    }
}

/// Subscribes to the queues of new watched jobs, unsubscribes from queues without any, then has the
/// new jobs read. False without watched jobs.
async fn subscribe(
    inner: &Inner,
    listener: &mut Listener,
    subscribed: &mut HashMap<String, QueueName>,
) -> RedisResult<bool> {
    let (queues, fresh) = inner.registry.plan();
    let unwatched = |channel: &(&String, &QueueName)| !queues.contains(channel.1);
    let unwatched: Vec<String> =
        subscribed.iter().filter(unwatched).map(|(channel, _)| channel.clone()).collect();
    for channel in unwatched {
        listener.unsubscribe(channel.as_str()).await?;
        subscribed.remove(&channel);
    }
    for name in &queues {
        let Some(queue) = inner.queues.get(name) else { continue };
        if let Entry::Vacant(channel) = subscribed.entry(queue.keys().changes()) {
            listener.subscribe(channel.key().as_str()).await?;
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
