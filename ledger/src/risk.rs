//! Which open outcomes are at risk: those that will probably be late.
//!
//! At risk is a mark and no account: it is computed when it is read, and nothing is stored. Where
//! TM Forum says *jeopardy*.

mod sample;

use upshot_queue::{Account, Job, State};

pub use sample::{QueueRunTimes, RunTimesCache};

/// The share of runs that take at most the time that is reckoned with, in tenths.
const TENTHS: usize = 9;

/// How long runs of a route took, as a sample of the latest ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTimes {
    /// Ascending, ms.
    sorted: Vec<i64>,
}

/// What keeps an outcome open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Its job waits, and starts at this time (UTC ms) at the earliest.
    Waits {
        /// `None` where it may start at once, or where the time is not known.
        until: Option<i64>,
    },
    /// Its job has run since this time, UTC ms.
    Runs {
        /// When the attempt began.
        since: i64,
    },
}

impl Work {
    /// The work of a job; `start` is when it becomes ready, if it is scheduled.
    pub fn of(job: &Job, start: Option<i64>) -> Self {
        match job.state {
            State::Running => Self::Runs { since: job.began.unwrap_or(job.since) },
            _ => Self::Waits { until: start },
        }
    }
}

impl RunTimes {
    /// A sample of run times, ms.
    pub fn new(mut times: Vec<i64>) -> Self {
        times.retain(|ms| *ms >= 0);
        times.sort_unstable();
        Self { sorted: times }
    }

    /// How long nine of ten runs take at most, ms; 0 without a sample.
    pub fn p90(&self) -> i64 {
        p90(&self.sorted)
    }

    /// How long one of ten runs takes at most, and nine of ten (ms); `None` without a sample.
    pub fn range(&self) -> Option<(i64, i64)> {
        let least = self.sorted.get(self.sorted.len() / 10)?;
        Some((*least, self.p90().max(*least)))
    }

    /// How long nine of ten runs take at most from now on, of those that took longer than `elapsed`.
    /// A run that takes longer than all of the sample may take as long again.
    pub fn remaining(&self, elapsed: i64) -> i64 {
        let elapsed = elapsed.max(0);
        let longer = self.sorted.get(self.sorted.partition_point(|ms| *ms <= elapsed)..).unwrap_or_default();
        match longer {
            [] if self.sorted.is_empty() => 0,
            [] => elapsed,
            longer => p90(longer) - elapsed,
        }
    }
}

fn p90(sorted: &[i64]) -> i64 {
    let place = (sorted.len() * TENTHS).div_ceil(10).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

/// Whether an outcome that is due at `due` will probably be late. Times are UTC ms.
pub fn is_late_at_p90(due: i64, work: Work, times: &RunTimes, now: i64) -> bool {
    let end = match work {
        Work::Waits { until } => until.unwrap_or(now).max(now).saturating_add(times.p90()),
        Work::Runs { since } => now.saturating_add(times.remaining(now.saturating_sub(since))),
    };
    end > due
}

impl QueueRunTimes {
    /// Whether the outcome of a job is open and at risk.
    pub fn is_at_risk(&self, job: &Job, work: Work, now: i64) -> bool {
        let open = job.expectation.filter(|expectation| expectation.account == Account::Open);
        open.is_some_and(|open| is_late_at_p90(open.due, work, self.of(open.route), now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ninth_of_ten_decides() {
        let times = RunTimes::new((1..=10).map(|n| n * 100).collect());
        assert_eq!(times.p90(), 900);
        let waits = Work::Waits { until: None };
        assert!(!is_late_at_p90(1_900, waits, &times, 1_000));
        assert!(is_late_at_p90(1_899, waits, &times, 1_000));
        // It starts after its due time.
        assert!(is_late_at_p90(1_900, Work::Waits { until: Some(1_950) }, &times, 0));
        // Of the runs that took more than 500 ms, nine of ten took 1000 ms at most.
        assert_eq!(times.remaining(500), 500);
        assert_eq!(times.remaining(2_000), 2_000);
    }

    proptest! {
        #[test]
        fn an_earlier_due_time_and_a_later_start_only_raise_the_risk(
            times in prop::collection::vec(0..100_000_i64, 0..40),
            due in 0..1_000_000_i64, now in 0..1_000_000_i64, start in 0..1_000_000_i64, more in 0..100_000_i64,
        ) {
            let times = RunTimes::new(times);
            let waits = |start| Work::Waits { until: Some(start) };
            if is_late_at_p90(due, waits(start), &times, now) {
                prop_assert!(is_late_at_p90(due - more, waits(start), &times, now));
                prop_assert!(is_late_at_p90(due, waits(start + more), &times, now));
                prop_assert!(is_late_at_p90(due, waits(start), &times, now + more));
            }
        }

        #[test]
        fn what_is_late_is_at_risk(
            times in prop::collection::vec(0..100_000_i64, 0..40),
            due in 0..1_000_000_i64, late in 1..1_000_000_i64, ran in 0..1_000_000_i64,
        ) {
            let (times, now) = (RunTimes::new(times), due + late);
            for work in [Work::Waits { until: None }, Work::Runs { since: now - ran }] {
                prop_assert!(is_late_at_p90(due, work, &times, now));
            }
        }

        #[test]
        fn the_remaining_time_is_never_negative(times in prop::collection::vec(0..100_000_i64, 0..40), elapsed in -10..200_000_i64) {
            prop_assert!(RunTimes::new(times).remaining(elapsed) >= 0);
        }
    }
}
