//! How often somebody may do something: the generic cell rate algorithm, with a bounded memory.
//!
//! Each name has a theoretical arrival time, which each act moves on by the time between two acts. An act
//! is refused while that time is further ahead than the burst. Each process counts for itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Names at most. Further ones share one count.
const MOST: usize = 10_000;
/// The name that further ones share. No other name is empty.
const SHARED: &str = "";

/// A pace.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    burst: u32,
    arrivals: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    /// `burst` acts at once, and one for each `every` that goes by.
    pub fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst: burst.max(1), arrivals: Mutex::default() }
    }

    /// Whether a name may act; it does not count as an act.
    ///
    /// # Errors
    /// How long to wait.
    pub fn look(&self, name: &str) -> Result<(), Duration> {
        let now = Instant::now();
        next(self.arrivals().get(name).copied(), now, self.every, self.burst).map(|_| ())
    }

    /// Counts an act.
    ///
    /// # Errors
    /// How long to wait; the act does not count then.
    pub fn act(&self, name: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut arrivals = self.arrivals();
        if arrivals.len() >= MOST && !arrivals.contains_key(name) {
            arrivals.retain(|_, arrival| *arrival > now);
        }
        let name = if arrivals.len() >= MOST && !arrivals.contains_key(name) { SHARED } else { name };
        let arrival = next(arrivals.get(name).copied(), now, self.every, self.burst)?;
        arrivals.insert(name.to_owned(), arrival);
        Ok(())
    }

    /// A panic elsewhere cannot leave the map half changed, so a poisoned lock is taken.
    fn arrivals(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next theoretical arrival time, or how long to wait.
fn next(arrival: Option<Instant>, now: Instant, every: Duration, burst: u32) -> Result<Instant, Duration> {
    let arrival = arrival.map_or(now, |arrival| arrival.max(now));
    let ahead = arrival.duration_since(now);
    let most = every.saturating_mul(burst.saturating_sub(1));
    if ahead > most {
        return Err(ahead.saturating_sub(most));
    }
    Ok(arrival + every)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_one_for_each_pause(
            (burst, every) in (1_u32..20, 1_u64..1_000),
            pauses in prop::collection::vec(0_u64..2_000, 1..200),
        ) {
            let every = Duration::from_millis(every);
            let start = Instant::now();
            let (mut now, mut arrival, mut acts) = (start, None, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                match next(arrival, now, every, burst) {
                    Ok(next) => {
                        arrival = Some(next);
                        acts.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(!wait.is_zero() && wait <= every);
                        prop_assert!(next(arrival, now + wait, every, burst).is_ok());
                    }
                }
            }
            for (first, from) in acts.iter().enumerate() {
                for (last, to) in acts.iter().enumerate().skip(first) {
                    let allowed = u128::from(burst) + to.duration_since(*from).as_nanos() / every.as_nanos();
                    let passed = u128::try_from(last - first).unwrap();
                    prop_assert!(passed <= allowed);
                }
            }
        }
    }

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
    fn the_memory_is_bounded() {
        let pace = Pace::new(1, Duration::from_secs(3_600));
        for name in 0..MOST {
            assert!(pace.act(&name.to_string()).is_ok());
        }
        assert!(pace.act("one more").is_ok());
        assert!(pace.act("and another").is_err(), "they share one count");
        assert!(pace.arrivals().len() <= MOST + 1);
    }
}
