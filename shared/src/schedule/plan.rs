//! Which due times of a schedule run now, and which were missed.

use std::collections::VecDeque;

use super::{CatchUp, Schedule, timing::Timing};

/// A run that begins up to a minute after its time is not missed (ms). Where several wait, this holds for the
/// latest: a schedule that is due every ten seconds does not run three times after a pause of thirty.
pub const ON_TIME: i64 = 60_000;
/// The most due times that are counted one by one.
const COUNTED: usize = 10_000;

/// What to do about a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The due times that get a job, the oldest first.
    pub runs: Vec<i64>,
    /// The due times that get none.
    pub missed: u64,
    /// Whether there are more of those than were counted.
    pub is_more: bool,
    /// Whether `catch_up_most` is what left them out.
    pub is_cut: bool,
    /// The next due time, if there is one.
    pub next: Option<i64>,
}

impl Plan {
    /// What to do at a time (UTC ms) about a schedule whose next due time is `next`. The work is bounded,
    /// however long ago that was.
    pub fn new(schedule: &Schedule, timing: &Timing, next: i64, now: i64) -> Self {
        let is_due = |due: &i64| schedule.starts_at(*due) <= now;
        let most = schedule.makes_up_for().max(1);
        let (mut latest, mut count) = (VecDeque::new(), 0_usize);
        let mut due = Some(next);
        while let Some(time) = due.filter(is_due).filter(|_| count < COUNTED) {
            latest.push_back(time);
            if latest.len() > most {
                latest.pop_front();
            }
            count += 1;
            due = timing.next(time);
        }
        let is_more = due.as_ref().is_some_and(is_due);
        if is_more {
            // Too many to count. The latest ones are found from the other end.
            let counted = latest.back().copied().unwrap_or(next);
            latest.clear();
            due = timing.next(now);
            let mut before = now.saturating_add(1);
            while let Some(time) = timing.previous(before).filter(|time| *time > counted) {
                if is_due(&time) {
                    latest.push_front(time);
                } else {
                    due = Some(time);
                }
                before = time;
                if latest.len() == most {
                    break;
                }
            }
            count += latest.len();
        }
        let is_on_time = latest.back().is_some_and(|last| now - schedule.starts_at(*last) <= ON_TIME);
        let runs = schedule.makes_up_for().max(usize::from(is_on_time)).min(latest.len());
        let runs: Vec<i64> = latest.split_off(latest.len() - runs).into();
        let missed = (count - runs.len()) as u64;
        let is_cut = schedule.catch_up == CatchUp::All && missed > 0;
        Self { runs, missed, is_more, is_cut, next: due }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn hourly(catch_up: CatchUp, most: u32) -> Schedule {
        let (cron, queue) = (Some("0 * * * *".to_owned()), "reports".parse().unwrap());
        Schedule { cron, catch_up, catch_up_most: most, ..Schedule::new("hourly", queue, "report.write") }
    }

    fn plan(schedule: &Schedule, next: i64, now: i64) -> Plan {
        Plan::new(schedule, &schedule.timing().unwrap(), next, now)
    }

    #[test]
    fn nothing_runs_before_its_time() {
        let plan = plan(&hourly(CatchUp::All, 100), HOUR, HOUR - 1);
        assert_eq!((plan.runs, plan.missed, plan.next), (vec![], 0, Some(HOUR)));
    }

    #[test]
    fn a_day_of_downtime_is_made_up_for_as_the_schedule_says() {
        // Down from 00:30 of the first day until 00:30 of the second: 24 due times.
        let now = 24 * HOUR + HOUR / 2;
        for (catch_up, most, runs, missed, is_cut) in [
            (CatchUp::None, 100, vec![], 24, false),
            (CatchUp::Latest, 100, vec![24 * HOUR], 23, false),
            (CatchUp::All, 100, (1..=24).map(|n| n * HOUR).collect(), 0, false),
            (CatchUp::All, 3, vec![22 * HOUR, 23 * HOUR, 24 * HOUR], 21, true),
        ] {
            let plan = plan(&hourly(catch_up, most), HOUR, now);
            let wanted = Plan { runs, missed, is_more: false, is_cut, next: Some(25 * HOUR) };
            assert_eq!(plan, wanted, "{catch_up:?}, {most}");
        }
    }

    #[test]
    fn a_run_that_is_little_late_is_not_missed() {
        let none = hourly(CatchUp::None, 100);
        assert_eq!(plan(&none, HOUR, HOUR + ON_TIME).runs, [HOUR]);
        assert_eq!(
            plan(&none, HOUR, HOUR + ON_TIME + 1),
            Plan { runs: vec![], missed: 1, is_more: false, is_cut: false, next: Some(2 * HOUR) }
        );
        // Of a schedule that is due each second, a pause of some seconds makes one run.
        let often = Schedule { cron: Some("* * * * * *".into()), ..none };
        let plan = plan(&often, 1000, 5500);
        assert_eq!((plan.runs, plan.missed, plan.next), (vec![5000], 4, Some(6000)));
    }

    #[test]
    fn years_of_downtime_take_bounded_work() {
        let often = Schedule { cron: Some("* * * * * *".into()), ..hourly(CatchUp::All, 3) };
        let now = 10 * 366 * 24 * HOUR;
        let plan = plan(&often, 1000, now);
        assert_eq!(plan.runs, [now - 2000, now - 1000, now]);
        assert_eq!((plan.missed, plan.is_more, plan.is_cut), (COUNTED as u64, true, true));
        assert_eq!(plan.next, Some(now + 1000));
    }

    proptest! {
        /// Whenever a scheduler looks, each due time runs once or is counted as missed once.
        #[test]
        fn every_due_time_is_in_one_plan(
            steps in prop::collection::vec(0_i64..5 * HOUR, 1..40),
            (catch_up, most) in (prop::sample::select(vec![CatchUp::None, CatchUp::Latest, CatchUp::All]), 1_u32..9),
            jitter in prop::sample::select(vec![0_u64, 30, 3599]),
        ) {
            let schedule = Schedule { jitter: Duration::from_secs(jitter), ..hourly(catch_up, most) };
            let timing = schedule.timing().unwrap();
            let (mut next, mut now, mut ran, mut missed) = (HOUR, 0, Vec::new(), 0);
            for step in steps {
                now += step;
                let plan = Plan::new(&schedule, &timing, next, now);
                prop_assert!(plan.runs.iter().all(|due| schedule.starts_at(*due) <= now && *due >= next));
                prop_assert!(plan.runs.len() <= schedule.makes_up_for().max(1));
                missed += plan.missed;
                ran.extend(plan.runs);
                next = plan.next.unwrap();
                prop_assert!(schedule.starts_at(next) > now);
            }
            prop_assert!(ran.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(ran.len() as u64 + missed, (next / HOUR - 1) as u64);
        }

        /// While somebody looks once a minute, a schedule that is due more rarely misses nothing.
        #[test]
        fn nothing_is_missed_while_somebody_looks(
            steps in prop::collection::vec(0_i64..=ON_TIME, 1..200),
            catch_up in prop::sample::select(vec![CatchUp::None, CatchUp::Latest, CatchUp::All]),
            jitter in prop::sample::select(vec![0_u64, 30, 240]),
        ) {
            const FIVE: i64 = 300_000;
            let (cron, every) = (None, Some(Duration::from_secs(300)));
            // Two runs start at least a minute apart.
            let schedule =
                Schedule { cron, every, jitter: Duration::from_secs(jitter), ..hourly(catch_up, 9) };
            schedule.check(0).unwrap();
            let timing = schedule.timing().unwrap();
            let (mut next, mut now, mut ran) = (FIVE, 0, Vec::new());
            for step in steps {
                now += step;
                let plan = Plan::new(&schedule, &timing, next, now);
                prop_assert!(plan.missed == 0 && !plan.is_cut, "{plan:?}");
                ran.extend(plan.runs);
                next = plan.next.unwrap();
            }
            prop_assert_eq!(ran, (1..next / FIVE).map(|n| n * FIVE).collect::<Vec<_>>());
        }
    }
}
