//! Outside effects that a handler requested and whose answers it waits for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// An effect without an answer yet.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Awaited {
    id: u64,
    /// How long to wait for its answer.
    pub(in crate::worker) until: Instant,
    /// What may have happened.
    pub(in crate::worker) what: String,
}

/// The effects of one attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects(Arc<Mutex<Vec<Awaited>>>);

/// A guard that lives while an effect has no answer yet ([`Lease::awaits`](super::Lease::awaits)).
#[derive(Debug)]
#[must_use = "the effect counts as answered when this is dropped"]
pub struct Awaits(Effects, u64);

impl Effects {
    /// Notes a requested effect.
    pub(super) fn begin(&self, within: Duration, what: String) -> Awaits {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        // A wait beyond the range of the clock never ends.
        let until = now.checked_add(within).unwrap_or(now);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Awaited { id, until, what });
        Awaits(self.clone(), id)
    }

    /// The effect with the longest wait.
    pub(super) fn last(&self) -> Option<Awaited> {
        let awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.iter().max_by_key(|each| each.until).cloned()
    }
}

impl Drop for Awaits {
    fn drop(&mut self) {
        let Self(Effects(effects), id) = self;
        effects.lock().unwrap_or_else(PoisonError::into_inner).retain(|each| each.id != *id);
    }
}
