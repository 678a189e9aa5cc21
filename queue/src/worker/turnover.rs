//! Measures how long jobs hold their slots, and derives the quantum of a lane from it.

use std::time::Duration;

use crate::scripts::LANES_AT_MOST;

/// A wait of this length goes unnoticed. If slots are free again within this time, all may go to
/// one lane, and a claim comes from few lanes. The longer jobs hold slots, the smaller the quantum.
const UNNOTICED: Duration = Duration::from_millis(10);

/// The number of attempts after which the mean has moved by half.
const INERTIA: f64 = 64.0;

/// The mean time for which an attempt held its slot, in µs; 0 while none has ended.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    ended: u64,
    held_us: u64,
    mean_us: f64,
}

impl Turnover {
    /// Notes how many attempts have ended in total, and how long they held their slots in total.
    pub(super) fn note(&mut self, ended: u64, held_us: u64) {
        let n = ended.saturating_sub(self.ended) as f64;
        if n > 0.0 {
            let mean = held_us.saturating_sub(self.held_us) as f64 / n;
            let weight = if self.ended == 0 { 1.0 } else { n / (n + INERTIA) };
            self.mean_us += (mean - self.mean_us) * weight;
            (self.ended, self.held_us) = (ended, held_us);
        }
    }

    /// The quantum of a claim of `want` jobs: how many jobs a lane may get ahead of its turn.
    pub(super) fn quantum(&self, want: usize) -> usize {
        // A claim asks at most this many lanes, so it needs this much of each to be full.
        let least = want.div_ceil(LANES_AT_MOST).max(1);
        if self.ended == 0 {
            return least;
        }
        let part = UNNOTICED.as_secs_f64() * 1e6 / self.mean_us.max(1.0);
        ((want as f64 * part) as usize).clamp(least, want.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scripts::MAX_CLAIM;

    /// The quantum after this many attempts that each held a slot for this long (ms).
    fn after(ends: impl IntoIterator<Item = (u64, u64)>, want: usize) -> usize {
        let mut turnover = Turnover::default();
        let (mut ended, mut held) = (0, 0);
        for (n, ms) in ends {
            (ended, held) = (ended + n, held + n * ms * 1000);
            turnover.note(ended, held);
        }
        turnover.quantum(want)
    }

    #[test]
    fn slow_jobs_take_turns_and_quick_ones_may_come_from_one_lane() {
        assert_eq!(after([], 32), 1);
        assert_eq!(after([(1000, 1)], 128), 128);
        assert_eq!(after([(1000, 20)], 128), 64);
        // A second each; many ends at the same time do not change that.
        assert_eq!(after([(64, 1000); 3], 32), 1);
        assert_eq!(after([(128, 1000); 3], 128), 4);
    }

    #[test]
    fn one_quick_job_among_slow_ones_changes_little_and_many_do() {
        assert_eq!(after([(128, 1000), (1, 0)], 32), 1);
        assert_eq!(after(std::iter::once((128, 1000)).chain([(128, 1); 5]), 32), 32);
    }

    proptest! {
        #[test]
        fn a_claim_can_be_filled_from_as_many_lanes_as_it_may_ask(
            ends in proptest::collection::vec((0u64..500, 0u64..5000), 0..20),
            want in 1..=MAX_CLAIM,
        ) {
            let ahead = after(ends, want);
            prop_assert!(ahead >= 1 && ahead * LANES_AT_MOST >= want && ahead <= want);
        }
    }
}
