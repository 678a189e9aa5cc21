//! Decides after a failure whether and when the job runs again.

use std::{collections::HashMap, fmt::Write, time::Duration};

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    policy::failure::{Failure, FailureClass},
    redis::clock::delay_ms,
};

/// How often and when to retry, by class of failure.
///
/// The wait grows exponentially with full jitter: uniform in
/// `0 ..= min(cap, base * 2^n)` (Brooker, "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015), and is never less than `floor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Transient failures that a job survives.
    pub transient: u32,
    /// Throttlings that a job survives.
    pub throttled: u32,
    /// Effects without an answer that a job survives. Each may have happened.
    pub unclear: u32,
    /// Timeouts that a job survives.
    pub timed_out: u32,
    /// Crashes that a job survives.
    pub crashed: u32,
    /// How long a job survives failures of a class, counted from the first one, for any number. For
    /// missing classes only the number counts, and always for permanent failures, lost workers and
    /// passed deadlines.
    pub retry_for: HashMap<FailureClass, Duration>,
    /// The wait before another attempt.
    pub wait: Wait,
    /// The same for single classes.
    pub waits: HashMap<FailureClass, Wait>,
}

/// The wait before another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The first wait, before jitter; doubled with every failure of the class.
    pub base: Duration,
    /// The longest wait, before jitter.
    pub cap: Duration,
    /// The shortest wait, after jitter.
    pub floor: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(900),
            floor: Duration::from_millis(200),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for RetryPolicy {
    /// A day for a sick dependency, three crashes, two repetitions of an effect that may have
    /// happened.
    fn default() -> Self {
        Self {
            transient: 20,
            throttled: 50,
            unclear: 2,
            timed_out: 3,
            crashed: 3,
            retry_for: [FailureClass::Transient, FailureClass::Throttled].map(|class| (class, DAY)).into(),
            wait: Wait::default(),
            waits: HashMap::new(),
        }
    }
}

/// The policy for jobs that lost their worker, in the form that the script reads: how many crashes
/// a job survives, the shortest wait, and the longest wait after each crash (ms). The script draws
/// each job's wait between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crashes(String);

impl Crashes {
    /// The number of stored waits. After more crashes the last wait applies.
    const WAITS: u32 = 32;

    /// A job survives this many crashes, and waits after each.
    pub fn new(budget: u32, wait: Wait) -> Self {
        let mut stored = format!("{budget} {}", delay_ms(wait.floor));
        for crash in 0..budget.min(Self::WAITS) {
            let most = wait.most(crash);
            // Writing to a string does not fail.
            let _ = write!(stored, " {}", delay_ms(most));
            if most == wait.cap {
                break;
            }
        }
        Self(stored)
    }

    pub(crate) fn stored(&self) -> &str {
        &self.0
    }
}

impl Wait {
    /// None at all.
    pub const NONE: Self = Self { base: Duration::ZERO, cap: Duration::ZERO, floor: Duration::ZERO };

    /// The longest wait after one failure more than `earlier`.
    fn most(&self, earlier: u32) -> Duration {
        self.base.saturating_mul(2u32.saturating_pow(earlier.min(31))).min(self.cap)
    }
}

/// A job's earlier failures of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// How many there were.
    pub count: u32,
    /// How long ago the first one was; zero if unknown.
    pub since: Duration,
}

/// The decision after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Run again after this wait.
    Retry(Duration),
    /// Do not run again.
    Bury,
}

impl RetryPolicy {
    /// How many failures of a class a job survives.
    pub fn budget(&self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Transient => self.transient,
            FailureClass::Throttled => self.throttled,
            FailureClass::Permanent
            | FailureClass::Expired
            | FailureClass::Refuted
            | FailureClass::Unconfirmed => 0,
            FailureClass::Unclear => self.unclear,
            FailureClass::TimedOut => self.timed_out,
            FailureClass::Crashed => self.crashed,
        }
    }

    /// How long a job survives failures of a class, counted from the first one.
    pub fn patience(&self, class: FailureClass) -> Duration {
        match class {
            // A job that kills workers must not continue for a day.
            FailureClass::Permanent
            | FailureClass::Expired
            | FailureClass::Refuted
            | FailureClass::Unconfirmed
            | FailureClass::Crashed => Duration::ZERO,
            _ => self.retry_for.get(&class).copied().unwrap_or_default(),
        }
    }

    fn wait_of(&self, class: FailureClass) -> &Wait {
        self.waits.get(&class).unwrap_or(&self.wait)
    }

    /// The policy for jobs that lose their worker.
    pub fn crashes(&self) -> Crashes {
        Crashes::new(self.crashed, *self.wait_of(FailureClass::Crashed))
    }

    /// Decides after `failure`. A class is exhausted when both its number of failures and its
    /// time are used up. `random` gives a number in `0.0..=1.0`.
    pub fn decide(&self, failure: &Failure, earlier: Earlier, random: f64) -> Decision {
        let class = failure.class;
        let to_confirm =
            class == FailureClass::Permanent && failure.retry_after.is_some() && earlier.count == 0;
        if !to_confirm && earlier.count >= self.budget(class) && earlier.since >= self.patience(class) {
            return Decision::Bury;
        }
        let wait = self.wait_of(class);
        let jittered = wait.most(earlier.count).mul_f64(random.clamp(0.0, 1.0)).max(wait.floor);
        // A requested wait is a lower bound. The jitter comes on top, so that throttled jobs do not
        // all come back at once.
        Decision::Retry(failure.retry_after.map_or(jittered, |wait| wait.saturating_add(jittered)))
    }

    /// [`Self::decide`] with a fresh random number.
    pub fn draw(&self, failure: &Failure, earlier: Earlier) -> Decision {
        self.decide(failure, earlier, rand::rng().random_range(0.0..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(count: u32) -> Earlier {
        Earlier { count, since: Duration::ZERO }
    }

    proptest! {
        #[test]
        fn waits_stay_between_floor_and_cap(earlier in 0u32..1000, random in 0.0f64..=1.0) {
            let policy = RetryPolicy { transient: u32::MAX, ..RetryPolicy::default() };
            let Decision::Retry(wait) = policy.decide(&Failure::transient("x"), times(earlier), random) else {
                panic!("the budget is not used up")
            };
            prop_assert!(wait >= policy.wait.floor && wait <= policy.wait.cap);
        }

        #[test]
        fn a_wait_that_was_asked_for_is_kept(seconds in 0u64..100_000, random in 0.0f64..=1.0) {
            let asked = Duration::from_secs(seconds);
            let decision = RetryPolicy::default().decide(&Failure::throttled("429", asked), times(0), random);
            prop_assert!(matches!(decision, Decision::Retry(wait) if wait >= asked));
        }

        #[test]
        fn a_class_may_wait_differently(earlier in 0u32..3, random in 0.0f64..=1.0) {
            let slow = Wait { floor: Duration::from_secs(60), ..Wait::default() };
            let policy = RetryPolicy { waits: [(FailureClass::TimedOut, slow)].into(), timed_out: 9, ..RetryPolicy::default() };
            let decision = policy.decide(&Failure::new(FailureClass::TimedOut, "x"), times(earlier), random);
            prop_assert!(matches!(decision, Decision::Retry(wait) if wait >= slow.floor));
            let other = policy.decide(&Failure::transient("x"), times(earlier), random);
            prop_assert!(matches!(other, Decision::Retry(wait) if wait < slow.floor));
        }

        /// As a script reads it: the wait of a lost worker's job is that of a failure.
        #[test]
        fn a_lost_worker_waits_as_a_crash_does(earlier in 0u32..50, budget in 1u32..50, base in 0u64..5000, cap in 0u64..1 << 40) {
            let wait = Wait { base: Duration::from_millis(base), cap: Duration::from_millis(cap), floor: Duration::ZERO };
            let policy = RetryPolicy { crashed: budget, wait, ..RetryPolicy::default() };
            let stored: Vec<u64> = policy.crashes().stored().split(' ').map(|n| n.parse().unwrap()).collect();
            let most = stored.get(2 + earlier as usize).or(stored.get(2..).unwrap().last()).unwrap();
            match policy.decide(&Failure::new(FailureClass::Crashed, "x"), times(earlier), 1.0) {
                // Large numbers of ns are rounded where they are multiplied.
                Decision::Retry(wait) => prop_assert!(most.abs_diff(wait.as_millis() as u64) <= 1),
                Decision::Bury => prop_assert!(u64::from(earlier) >= stored[0]),
            }
        }

        /// Neither the number nor the time alone ends a class, and both together do.
        #[test]
        fn a_class_ends_with_its_number_and_its_time(
            class in prop::sample::select(FailureClass::ALL.to_vec()),
            budget in 0u32..50,
            patience in prop::option::of(0u64..200_000),
            count in 0u32..100,
            since in 0u64..400_000,
        ) {
            let policy = RetryPolicy {
                transient: budget, throttled: budget, unclear: budget, timed_out: budget, crashed: budget,
                retry_for: patience.map(|s| (class, Duration::from_secs(s))).into_iter().collect(),
                ..RetryPolicy::default()
            };
            let earlier = Earlier { count, since: Duration::from_secs(since) };
            let decision = policy.decide(&Failure::new(class, "x"), earlier, 0.5);
            let final_at_once = RetryPolicy::default().budget(class) == 0;
            let goes_by_time = !final_at_once && class != FailureClass::Crashed;
            let over = final_at_once
                || count >= budget && (!goes_by_time || since >= patience.unwrap_or(0));
            prop_assert_eq!(decision == Decision::Bury, over);
        }

        /// With any jitter, a job survives a failure that lasts half a day.
        #[test]
        fn half_a_day_of_transient_failures_kills_nothing(seed in prop::collection::vec(0.0f64..=1.0, 1..40)) {
            let (policy, mut since, mut count) = (RetryPolicy::default(), Duration::ZERO, 0);
            while since < DAY / 2 {
                let random = seed[count as usize % seed.len()];
                match policy.decide(&Failure::transient("away"), Earlier { count, since }, random) {
                    Decision::Retry(wait) => since += wait,
                    Decision::Bury => prop_assert!(false, "dead after {since:?} and {count} failures"),
                }
                count += 1;
            }
        }

        #[test]
        fn a_permanent_failure_is_confirmed_once_where_that_is_asked_for(seconds in 0u64..10_000, count in 0u32..9) {
            let failure = Failure::permanent_if_confirmed("550", Duration::from_secs(seconds));
            let decision = RetryPolicy::default().decide(&failure, times(count), 0.0);
            match decision {
                Decision::Retry(wait) => prop_assert!(count == 0 && wait >= Duration::from_secs(seconds)),
                Decision::Bury => prop_assert!(count > 0),
            }
        }
    }
}
