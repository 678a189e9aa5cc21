//! The deliveries of a session that wait alone, unacknowledged, while others continue.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The delivery tags that must not be acknowledged yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    tags: Arc<Mutex<BTreeSet<u64>>>,
    fewer: Arc<Notify>,
}

impl Waiting {
    fn tags(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Every statement leaves the set consistent.
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, tag: u64) {
        self.tags().insert(tag);
    }

    pub(crate) fn remove(&self, tag: u64) {
        self.tags().remove(&tag);
        self.fewer.notify_waiters();
    }

    /// The lowest of them.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.tags().first().copied()
    }

    /// Returns once nothing waits.
    pub(crate) async fn emptied(&self) {
        loop {
            // Subscribes before the check, so that no change is missed.
            let fewer = self.fewer.notified();
            if self.tags().is_empty() {
                return;
            }
            fewer.await;
        }
    }
}
