//! How fast the jobs of a worker end, and how far ahead of its turn a lane may be served
//! because of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// No lane is served further ahead of its turn than by what the worker ends in this time:
/// nobody notices ten milliseconds, and of quick jobs a claim is then taken from a few
/// lanes. With jobs of seconds they take turns one by one.
const AHEAD: Duration = Duration::from_millis(10);

/// Lanes of which a claim asks no more (`LANES_AT_MOST` in `claim.lua`): a large claim
/// needs so much of each to be filled.
const LANES: usize = 48;

/// Numbers of attempts that had ended at some times, the oldest first. One of them is
/// older than [`AHEAD`], or it is the start.
#[derive(Debug)]
pub(super) struct Turnover(VecDeque<(Instant, u64)>);

impl Turnover {
    /// Nothing has ended yet.
    pub(super) fn new(now: Instant) -> Self {
        Self(VecDeque::from([(now, 0)]))
    }

    /// How many attempts have ended by now.
    pub(super) fn note(&mut self, now: Instant, ended: u64) {
        self.0.push_back((now, ended));
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= AHEAD) {
            self.0.pop_front();
        }
    }

    /// How many jobs of a claim of `want` a lane may be given ahead of its turn: as many
    /// as end within [`AHEAD`], and no more than the claim has.
    pub(super) fn ahead(&self, want: usize) -> usize {
        let (Some((since, before)), Some((now, ended))) = (self.0.front(), self.0.back()) else {
            return 1;
        };
        let within = now.duration_since(*since).max(AHEAD);
        let ended = ended.saturating_sub(*before) as f64 * AHEAD.as_secs_f64() / within.as_secs_f64();
        let least = want.div_ceil(LANES).max(1);
        (ended as usize).clamp(least, want.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scripts::MAX_CLAIM;

    /// What is allowed after these pauses (ms), with so many ends in each.
    fn after(steps: &[(u64, u64)], want: usize) -> usize {
        let mut now = Instant::now();
        let mut turnover = Turnover::new(now);
        let mut ended = 0;
        for (pause, n) in steps {
            now += Duration::from_millis(*pause);
            ended += n;
            turnover.note(now, ended);
        }
        turnover.ahead(want)
    }

    #[test]
    fn slow_jobs_take_turns_and_quick_ones_come_from_one_lane() {
        // A worker that has just started, and one whose jobs took a second each.
        assert_eq!(after(&[], 32), 1);
        assert_eq!(after(&[(1000, 32)], 32), 1);
        // 5,000 a second, and 100,000.
        assert_eq!(after(&[(100, 500)], 192), 50);
        assert_eq!(after(&[(1, 100); 50], 192), 192);
        // They were quick, and are no more.
        assert_eq!(after(&[(1, 100), (1, 100), (500, 0)], 32), 1);
    }

    proptest! {
        #[test]
        fn a_claim_can_be_filled_from_as_many_lanes_as_it_may_ask(
            steps in proptest::collection::vec((0u64..50, 0u64..500), 0..40),
            want in 1..=MAX_CLAIM,
        ) {
            let ahead = after(&steps, want);
            prop_assert!(ahead >= 1 && ahead * LANES >= want && ahead <= want);
        }

        #[test]
        fn what_is_remembered_is_bounded_by_time(pauses in proptest::collection::vec(1u64..20, 0..100)) {
            let mut now = Instant::now();
            let mut turnover = Turnover::new(now);
            for pause in pauses {
                now += Duration::from_millis(pause);
                turnover.note(now, 0);
            }
            prop_assert!(turnover.0.len() <= 12);
        }
    }
}
