//! Effects that a handler asked the outside world for, and whose answers it waits for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// An effect that was asked for and not answered yet.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Awaited {
    id: u64,
    /// How long its answer is waited for.
    pub(in crate::worker) until: Instant,
    /// What may have happened.
    pub(in crate::worker) what: String,
}

/// The effects of one attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects(Arc<Mutex<Vec<Awaited>>>);

/// Says, while it lives, that an effect was asked for and not answered yet
/// ([`Lease::awaits`](super::Lease::awaits)).
#[derive(Debug)]
#[must_use = "the effect counts as answered when this is dropped"]
pub struct Awaits(Effects, u64);

impl Effects {
    /// Says that an effect was asked for.
    pub(super) fn begin(&self, within: Duration, what: String) -> Awaits {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        // A wait beyond all clocks is as good as none.
        let until = now.checked_add(within).unwrap_or(now);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Awaited { id, until, what });
        Awaits(self.clone(), id)
    }

    /// The effect whose answer is waited for the longest.
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
