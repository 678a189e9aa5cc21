//! How much of a route's budget of errors is left, and how fast it is used up.
//!
//! Each expectation is counted once: when it gets its first verdict, or when it becomes overdue. So
//! what is stuck counts as soon as it is late, and neither a retry nor a late end changes what was
//! counted. What is cancelled or waived in time is not counted.
//!
//! The burn is the share that was not in time, as a multiple of the share that the objective allows:
//! at 1 the budget lasts exactly for the [`PERIOD`]. The windows and factors are those of the SRE
//! workbook (Google, 2018, chapter 5): a long window says that it matters, a short one that it still
//! goes on.

mod read;

use upshot_queue::{Account, Books};
use upshot_shared::Objective;

pub use read::{Moved, read};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The time for which the budget must last: 30 days.
pub const PERIOD_MS: i64 = 30 * DAY_MS;

/// So many outcomes must have been late or missed in the long window before a burn is an alarm. With
/// little traffic a single one would be many times the budget.
pub const LEAST: u64 = 5;

/// Outcomes of a route that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Achieved in time.
    pub in_time: u64,
    /// Overdue, achieved late, partial or missed.
    pub not_in_time: u64,
}

/// A time up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// 5 minutes.
    FiveMinutes,
    /// 30 minutes.
    HalfHour,
    /// 1 hour.
    Hour,
    /// 6 hours.
    SixHours,
    /// 3 days.
    ThreeDays,
}

/// How fast a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// It lasts for the period, or too little happened to tell.
    Calm,
    /// It is used up before the period ends.
    Slow,
    /// A twentieth of it is used up within hours.
    Fast,
}

/// How a route stands beside its objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The objective.
    pub objective: Objective,
    /// The outcomes of the period.
    pub period: Tally,
    /// The outcomes of each window, in the order of [`Window::ALL`].
    pub windows: [Tally; Window::ALL.len()],
}

/// A long window, a short one, the least burn in both, and what it means.
const PAIRS: [(Window, Window, f64, Pace); 3] = [
    (Window::Hour, Window::FiveMinutes, 14.4, Pace::Fast),
    (Window::SixHours, Window::HalfHour, 6.0, Pace::Fast),
    (Window::ThreeDays, Window::SixHours, 1.0, Pace::Slow),
];

impl Window {
    /// All windows, the shortest first.
    pub const ALL: [Self; 5] =
        [Self::FiveMinutes, Self::HalfHour, Self::Hour, Self::SixHours, Self::ThreeDays];
    /// Those that are shown; the others only confirm that a burn goes on.
    pub const SHOWN: [Self; 3] = [Self::Hour, Self::SixHours, Self::ThreeDays];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::HalfHour => "30m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::ThreeDays => "3d",
        }
    }

    /// Its length, ms.
    pub const fn ms(self) -> i64 {
        match self {
            Self::FiveMinutes => 5 * MINUTE_MS,
            Self::HalfHour => 30 * MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::SixHours => 6 * HOUR_MS,
            Self::ThreeDays => 3 * DAY_MS,
        }
    }
}

impl Pace {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Slow => "slow",
            Self::Fast => "fast",
        }
    }
}

impl Tally {
    /// What moved on a route.
    pub fn of(route: u32, moved: &Books) -> Self {
        use Account::{AchievedInTime, AchievedLate, Awaiting, Missed, Open, Overdue, Partial};
        // An expectation leaves these accounts once, because only an open one comes to await its proof:
        // one that is overdue or reopened stays what it is. What comes after was counted.
        let sum = |into: &[Account]| {
            let each = into.iter().flat_map(|to| [Open, Awaiting].map(|from| moved.count(route, from, *to)));
            each.fold(0_u64, u64::saturating_add)
        };
        Self { in_time: sum(&[AchievedInTime]), not_in_time: sum(&[Overdue, AchievedLate, Partial, Missed]) }
    }

    /// All that were counted.
    pub const fn total(self) -> u64 {
        self.in_time.saturating_add(self.not_in_time)
    }

    /// The share that was not in time, as a multiple of what the objective allows; `None` without an
    /// outcome.
    pub fn burn(self, objective: Objective) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.not_in_time as f64 / total as f64 / objective.allowed())
    }
}

impl Standing {
    /// The outcomes of a window.
    pub fn tally(&self, window: Window) -> Tally {
        let place = Window::ALL.iter().position(|each| *each == window);
        place.and_then(|place| self.windows.get(place)).copied().unwrap_or_default()
    }

    /// The burn over a window; `None` without an outcome.
    pub fn burn(&self, window: Window) -> Option<f64> {
        self.tally(window).burn(self.objective)
    }

    /// The share of the period's budget that is left: 1 where nothing was late, below 0 where more is
    /// used up than was allowed.
    pub fn budget_left(&self) -> f64 {
        1.0 - self.period.burn(self.objective).unwrap_or(0.0)
    }

    /// How fast the budget is used up.
    pub fn pace(&self) -> Pace {
        let burns = |window, least| self.burn(window).is_some_and(|burn| burn >= least);
        let is_met = |(long, short, least, _): &&(Window, Window, f64, Pace)| {
            self.tally(*long).not_in_time >= LEAST && burns(*long, *least) && burns(*short, *least)
        };
        PAIRS.iter().find(is_met).map_or(Pace::Calm, |(.., pace)| *pace)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn objective(share: f64) -> Objective {
        share.try_into().unwrap()
    }

    /// The same outcomes in every window.
    fn everywhere(share: f64, in_time: u64, not_in_time: u64) -> Standing {
        let tally = Tally { in_time, not_in_time };
        Standing { objective: objective(share), period: tally, windows: [tally; 5] }
    }

    #[test]
    fn a_budget_is_used_up_by_what_is_not_in_time() {
        let standing = everywhere(0.99, 990, 10);
        assert!(
            (standing.burn(Window::Hour).unwrap() - 1.0).abs() < 1e-9 && standing.budget_left().abs() < 1e-9
        );
        assert!((everywhere(0.99, 995, 5).budget_left() - 0.5).abs() < 1e-9);
        assert!((everywhere(0.9, 0, 7).budget_left() + 9.0).abs() < 1e-9);
        let quiet = everywhere(0.99, 0, 0);
        assert_eq!((quiet.burn(Window::Hour), quiet.budget_left(), quiet.pace()), (None, 1.0, Pace::Calm));
    }

    #[test]
    fn little_traffic_does_not_cry_wolf() {
        assert_eq!(everywhere(0.999, 3, LEAST - 1).pace(), Pace::Calm);
        assert_eq!(everywhere(0.999, 3, LEAST).pace(), Pace::Fast);
    }

    #[test]
    fn a_burn_that_is_over_is_no_alarm() {
        let mut standing = everywhere(0.99, 50, 50);
        assert_eq!(standing.pace(), Pace::Fast);
        for (place, window) in Window::ALL.iter().enumerate() {
            if *window < Window::Hour {
                standing.windows[place] = Tally { in_time: 9, not_in_time: 0 };
            }
        }
        assert_eq!(standing.pace(), Pace::Slow, "over three days and six hours it is still too much");
        standing.windows[3] = Tally { in_time: 9, not_in_time: 0 };
        assert_eq!(standing.pace(), Pace::Calm);
    }

    /// Where an expectation goes, step by step.
    fn life() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    }

    /// The moves of a life, which begins open.
    fn moves(life: &[prop::sample::Index]) -> Vec<(Account, Account)> {
        let (mut at, mut moves) = (Account::Open, vec![(Account::Received, Account::Open)]);
        for step in life {
            let is_next =
                |to: &Account| at.may_become(*to) && (*to != Account::Awaiting || at == Account::Open);
            let next: Vec<Account> = Account::ALL.into_iter().filter(is_next).collect();
            if next.is_empty() {
                break;
            }
            let to = *step.get(&next);
            moves.push((at, to));
            at = to;
        }
        moves
    }

    fn books(moves: &[(Account, Account)]) -> Books {
        let mut books = Books::default();
        for (from, to) in moves {
            *books.moves.entry((3, *from, *to)).or_default() += 1;
        }
        books
    }

    proptest! {
        #[test]
        fn an_expectation_is_counted_at_most_once(life in life()) {
            let moves = moves(&life);
            let tally = Tally::of(3, &books(&moves));
            prop_assert!(tally.total() <= 1, "{moves:?}");
            // It is counted as soon as it is late or decided, unless an operator ended it before.
            let first = moves.iter().map(|(_, to)| *to).find(|to| !matches!(to, Account::Open | Account::Awaiting));
            use Account::{AchievedInTime, AchievedLate, Missed, Overdue, Partial};
            let expected = match first {
                Some(AchievedInTime) => Tally { in_time: 1, not_in_time: 0 },
                Some(Overdue | AchievedLate | Partial | Missed) => Tally { in_time: 0, not_in_time: 1 },
                _ => Tally::default(),
            };
            prop_assert_eq!(tally, expected);
        }

        #[test]
        fn windows_add_up(lives in prop::collection::vec(life(), 0..20), first in 0..20_usize, second in 0..20_usize) {
            let of = |lives: &[Vec<prop::sample::Index>]| {
                books(&lives.iter().flat_map(|life| moves(life)).collect::<Vec<_>>())
            };
            let (least, most) = (first.min(second).min(lives.len()), first.max(second).min(lives.len()));
            let [early, middle, all] = [&lives[..least], &lives[..most], &lives[..]].map(of);
            let [one, two, whole] = [(&middle, &early), (&all, &middle), (&all, &early)]
                .map(|(end, begin)| Tally::of(3, &end.since(begin)));
            prop_assert_eq!(one.in_time + two.in_time, whole.in_time);
            prop_assert_eq!(one.not_in_time + two.not_in_time, whole.not_in_time);
        }

        #[test]
        fn one_more_in_time_never_alarms_and_one_less_never_calms(
            in_time in 0..100_000_u64, not_in_time in 0..1_000_u64, allowed in 1..999_999_u32,
        ) {
            let share = 1.0 - f64::from(allowed) / 1e6;
            let share = (share * 1e6).round() / 1e6;
            let now = everywhere(share, in_time, not_in_time);
            let better = everywhere(share, in_time + 1, not_in_time);
            let worse = everywhere(share, in_time, not_in_time + 1);
            prop_assert!(better.pace() <= now.pace() && now.pace() <= worse.pace());
            prop_assert!(better.budget_left() >= now.budget_left() && now.budget_left() >= worse.budget_left());
            prop_assert!(now.budget_left() <= 1.0);
            prop_assert_eq!(now.burn(Window::Hour).is_some(), now.windows[2].total() > 0);
        }
    }
}
