//! How often somebody may do something, counted by name in a bounded memory.
//!
//! The crate `governor` decides. Each process counts for itself.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};

/// Names at most. Further ones share one count.
const MOST: usize = 10_000;
/// The name that further ones share. No other name is empty.
const SHARED: &str = "";

/// A pace.
#[derive(Debug)]
pub struct Pace<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Asked, Counts, C, NoOpMiddleware<C::Instant>>,
}

impl Pace {
    /// `burst` acts at once, and one for each `every` that goes by.
    pub fn new(burst: u32, every: Duration) -> Self {
        Self::with_clock(burst, every, MonotonicClock)
    }
}

impl<C: Clock> Pace<C> {
    fn with_clock(burst: u32, every: Duration, clock: C) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // Only a period of zero has no quota.
        let quota = Quota::with_period(every).unwrap_or_else(|| Quota::per_second(burst));
        let counts = Counts { every: quota.replenish_interval().into(), due: Mutex::default() };
        Self { limiter: RateLimiter::new(quota.allow_burst(burst), counts, clock) }
    }

    /// Whether a name may act; it does not count as an act.
    ///
    /// # Errors
    /// How long to wait.
    pub fn look(&self, name: &str) -> Result<(), Duration> {
        self.ask(name, false)
    }

    /// Counts an act.
    ///
    /// # Errors
    /// How long to wait; the act does not count then.
    pub fn act(&self, name: &str) -> Result<(), Duration> {
        self.ask(name, true)
    }

    fn ask(&self, name: &str, counts: bool) -> Result<(), Duration> {
        let asked = Asked { name: name.to_owned(), counts };
        let refused = self.limiter.check_key(&asked).err();
        refused.map_or(Ok(()), |refused| Err(refused.wait_time_from(self.limiter.clock().now())))
    }
}

/// A name that asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    name: String,
    /// Whether it acts, or only looks.
    counts: bool,
}

/// When the next act of each name is due, if it acts evenly.
#[derive(Debug)]
struct Counts {
    every: Nanos,
    due: Mutex<HashMap<String, Nanos>>,
}

impl StateStore for Counts {
    type Key = Asked;

    fn measure_and_replace<T, F, E>(&self, asked: &Asked, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // A panic elsewhere cannot leave the map half changed, so a poisoned lock is taken.
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut name = asked.name.as_str();
        if asked.counts && due.len() >= MOST && !due.contains_key(name) {
            // A name without a count acts now, and its next act is due one period later.
            let (_, next) = measure(None)?;
            due.retain(|_, at| *at + self.every > next);
            if due.len() >= MOST {
                name = SHARED;
            }
        }
        let (outcome, next) = measure(due.get(name).copied())?;
        if asked.counts {
            due.insert(name.to_owned(), next);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn names_are_counted_apart_and_looking_is_free() {
        let pace = Pace::new(2, Duration::from_secs(3_600));
        for name in ["a", "b"] {
            assert!(pace.look(name).is_ok() && pace.look(name).is_ok() && pace.look(name).is_ok());
            assert!(pace.act(name).is_ok() && pace.act(name).is_ok());
            let wait = pace.act(name).unwrap_err();
            assert!(wait <= Duration::from_secs(3_600) && pace.look(name).is_err());
        }
    }

    #[test]
    fn a_name_may_act_again_after_a_period() {
        let clock = FakeRelativeClock::default();
        let pace = Pace::with_clock(2, Duration::from_secs(6), clock.clone());
        assert!(pace.act("a").is_ok() && pace.act("a").is_ok());
        assert_eq!(pace.act("a").unwrap_err(), Duration::from_secs(6));
        clock.advance(Duration::from_secs(6));
        assert!(pace.act("a").is_ok() && pace.act("a").is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let clock = FakeRelativeClock::default();
        let pace = Pace::with_clock(1, Duration::from_secs(3_600), clock.clone());
        for name in 0..MOST {
            assert!(pace.act(&name.to_string()).is_ok());
        }
        assert!(pace.act("one more").is_ok());
        assert!(pace.act("and another").is_err(), "they share one count");
        clock.advance(Duration::from_secs(3_600));
        assert!(pace.act("and another").is_ok(), "the counts of before are over");
        let left = pace.limiter.into_state_store().due.into_inner().unwrap();
        assert_eq!(left.len(), 1);
    }
}
