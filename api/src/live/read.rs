//! Reads the watched jobs that changed.

use std::time::Duration;

use upshot_queue::{Client, Error, JobId, QueueName, connect::Backoff};

use super::{Inner, Seen};
use crate::known::Known;

/// Jobs in one pipeline: enough to save round trips, few enough that other users of the connection
/// do not wait long.
const BATCH: usize = 64;
/// A pause after every reading. The first change is read at once; the rest of a burst is read
/// together.
const PAUSE: Duration = Duration::from_millis(10);

/// Reads changed jobs, for ever.
pub(super) async fn run(inner: &Inner) {
    let mut backoff = Backoff::default();
    loop {
        inner.dirty.notified().await;
        for (name, ids) in inner.registry.take_dirty() {
            let Some(queue) = inner.queues.get(&name) else { continue };
            let ids: Vec<JobId> = ids.into_iter().collect();
            for batch in ids.chunks(BATCH) {
                read(inner, queue, &name, batch.to_vec(), &mut backoff).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads jobs, and repeats until Redis answers, because watchers wait for them.
async fn read(inner: &Inner, queue: &Client, name: &QueueName, mut ids: Vec<JobId>, backoff: &mut Backoff) {
    loop {
        match Known::read(queue, &ids).await {
            Ok(found) => {
                backoff.reset();
                let mut found = found.into_iter().peekable();
                for id in &ids {
                    let seen = match found.next_if(|known| known.job.id == *id) {
                        Some(known) => Seen::Job(known.into()),
                        None => Seen::Gone,
                    };
                    inner.registry.publish(name, id, seen);
                }
                return;
            }
            Err(Error::Unreadable(damaged)) => {
                tracing::error!(error = %damaged, "a watched job is damaged");
                inner.registry.publish(name, &damaged.id, Seen::Gone);
                ids.retain(|id| *id != damaged.id);
            }
            Err(error) => {
                tracing::debug!(%error, "watched jobs not read yet");
                backoff.wait().await;
            }
        }
    }
}
