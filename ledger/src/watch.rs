//! Watches what falls due: expectations become overdue within a second of their due time.
//!
//! Bridge, executor and API all watch, so that any of them is enough. One process of a queue does it
//! at a time, by a lease in the queue's slot. The lease changes with each look. A process that sees it
//! unchanged for too long takes it over: after the clock of Redis was set back, the lease of a process
//! that is gone would not expire.

use std::time::{Duration, Instant};

use futures::future;
use upshot_queue::{Client, Error, Watched, connect::Backoff};

/// How often the process that has the lease looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long the lease lasts without a look.
const LEASE: Duration = Duration::from_millis(700);
/// How long a lease may stay unchanged before another process takes it over.
const STALE: Duration = Duration::from_secs(3);

/// Watches queues for ever.
pub async fn watch(queues: impl IntoIterator<Item = Client>) {
    let process = format!("{:016x}", rand::random::<u64>());
    future::join_all(queues.into_iter().map(|queue| watch_one(queue, &process))).await;
}

async fn watch_one(queue: Client, process: &str) {
    let (mut others, mut backoff) = (Others::default(), Backoff::default());
    loop {
        match look(&queue, process, &mut others).await {
            Ok(more) => {
                backoff.reset();
                if !more {
                    tokio::time::sleep(LOOK).await;
                }
            }
            Err(error) => {
                tracing::debug!(queue = %queue.name(), %error, "not watched");
                backoff.wait().await;
            }
        }
    }
}

/// Looks once. Returns whether more is due.
async fn look(queue: &Client, process: &str, others: &mut Others) -> Result<bool, Error> {
    match queue.watch(process, LEASE, others.stale(Instant::now())).await? {
        Watched::Elsewhere(lease) => {
            others.see(lease, Instant::now());
            Ok(false)
        }
        Watched::Here { overdue, more } => {
            if overdue > 0 {
                tracing::warn!(queue = %queue.name(), overdue, "outcomes are overdue");
            }
            Ok(more)
        }
    }
}

/// The lease of another process, and since when it is unchanged.
#[derive(Debug, Default)]
struct Others {
    seen: Option<(String, Instant)>,
}

impl Others {
    fn see(&mut self, lease: String, now: Instant) {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != lease) {
            self.seen = Some((lease, now));
        }
    }

    /// The lease, if it has not changed for too long.
    fn stale(&self, now: Instant) -> Option<&str> {
        let (lease, since) = self.seen.as_ref()?;
        (now.duration_since(*since) > STALE).then_some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_stale_when_it_stays_unchanged() {
        let (start, mut others) = (Instant::now(), Others::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(others.stale(at(0)), None);
        others.see("a 1".into(), at(0));
        others.see("a 1".into(), at(2));
        assert_eq!((others.stale(at(2)), others.stale(at(4))), (None, Some("a 1")));
        others.see("a 2".into(), at(4));
        assert_eq!((others.stale(at(5)), others.stale(at(8))), (None, Some("a 2")));
    }
}
