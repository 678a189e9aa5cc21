//! Adds up outcomes: by route and kind from the books, by tenant and cause from the counts of days.

use std::collections::BTreeMap;

use upshot_queue::{Account, Books, FigureDay};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Figures of outcomes. Verdicts and events are counted in a period; open, overdue, awaiting and
/// reopened ones stand at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events that became a job or found one.
    pub received: u64,
    /// Those of them that found a job.
    pub duplicate: u64,
    /// Without a verdict, in time.
    pub open: u64,
    /// Without a verdict, late.
    pub overdue: u64,
    /// Done, and the proof is to come.
    pub awaiting: u64,
    /// Retried after a verdict.
    pub reopened: u64,
    /// Became overdue.
    pub became_overdue: u64,
    /// Were retried after a verdict.
    pub became_reopened: u64,
    /// Were achieved in time.
    pub achieved_in_time: u64,
    /// Were achieved late.
    pub achieved_late: u64,
    /// Were achieved, in time or late, without a retry after a verdict.
    pub achieved_first_time: u64,
    /// Were achieved in part.
    pub partial: u64,
    /// Were missed. An outcome that was reopened and missed again counts twice.
    pub missed: u64,
    /// Were cancelled.
    pub cancelled: u64,
    /// Were settled by an operator.
    pub waived: u64,
}

impl Figures {
    /// The figures of a route: what moved in a period, and the books at its end.
    pub fn of(route: u32, moved: &Books, end: &Books) -> Self {
        use Account::{
            AchievedInTime, AchievedLate, Awaiting, Cancelled, Duplicate, Missed, Open, Overdue, Partial,
            Received, Reopened, Waived, Waiving,
        };
        let into = |account| moved.arrivals(route, account);
        let count = |from, to| moved.count(route, from, to);
        let stands = |account| end.balance(route, account).max(0).unsigned_abs();
        let duplicate = count(Received, Duplicate);
        let first =
            [Open, Awaiting, Overdue].map(|from| count(from, AchievedInTime) + count(from, AchievedLate));
        Self {
            received: count(Received, Open) + duplicate,
            duplicate,
            open: stands(Open),
            overdue: stands(Overdue),
            awaiting: stands(Awaiting),
            reopened: stands(Reopened),
            became_overdue: into(Overdue),
            became_reopened: into(Reopened),
            achieved_in_time: into(AchievedInTime),
            achieved_late: into(AchievedLate),
            achieved_first_time: first.iter().sum(),
            partial: into(Partial),
            missed: into(Missed),
            cancelled: into(Cancelled),
            // One that was settled while the work went on ends as waived once more.
            waived: (into(Waiving) + into(Waived)).saturating_sub(count(Waiving, Waived)),
        }
    }

    /// Adds other figures.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.received, other.received),
            (&mut self.duplicate, other.duplicate),
            (&mut self.open, other.open),
            (&mut self.overdue, other.overdue),
            (&mut self.awaiting, other.awaiting),
            (&mut self.reopened, other.reopened),
            (&mut self.became_overdue, other.became_overdue),
            (&mut self.became_reopened, other.became_reopened),
            (&mut self.achieved_in_time, other.achieved_in_time),
            (&mut self.achieved_late, other.achieved_late),
            (&mut self.achieved_first_time, other.achieved_first_time),
            (&mut self.partial, other.partial),
            (&mut self.missed, other.missed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.waived, other.waived),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }

    /// The verdicts about work that was done or not: without cancelled and waived ones.
    pub const fn decided(&self) -> u64 {
        self.achieved_in_time + self.achieved_late + self.partial + self.missed
    }

    /// The share of these that were achieved in time, 0 to 1; `None` without a verdict.
    pub fn share_in_time(&self) -> Option<f64> {
        let decided = self.decided();
        (decided > 0).then(|| self.achieved_in_time as f64 / decided as f64)
    }
}

/// A cause of missed outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The fingerprint: the group of dead jobs. `*` for all causes beyond those that a day counts.
    pub fingerprint: String,
    /// The class of the failure.
    pub class: String,
    /// The kind of job.
    pub kind: String,
    /// The message, without its numbers and names.
    pub message: String,
    /// Outcomes that were missed because of it.
    pub missed: u64,
}

/// The whole days (days since 1970) that a period touches, the newest first, at most `most`.
pub fn days(from: i64, to: i64, most: usize) -> Vec<i64> {
    let (first, last) = (from.div_euclid(DAY_MS), to.div_euclid(DAY_MS));
    (first..=last).rev().take(most).collect()
}

/// The figures of days by tenant; an empty name for jobs without one, and `*` for those that a day
/// does not count apart.
pub fn by_tenant(days: &[FigureDay]) -> BTreeMap<String, Figures> {
    let mut tenants: BTreeMap<String, Figures> = BTreeMap::new();
    for (tenant, account, n) in days.iter().flat_map(|day| &day.tenants) {
        let figures = tenants.entry(tenant.clone()).or_default();
        let figure = match account {
            Account::Overdue => &mut figures.became_overdue,
            Account::AchievedInTime => &mut figures.achieved_in_time,
            Account::AchievedLate => &mut figures.achieved_late,
            Account::Partial => &mut figures.partial,
            Account::Missed => &mut figures.missed,
            Account::Cancelled => &mut figures.cancelled,
            Account::Waiving | Account::Waived => &mut figures.waived,
            _ => continue,
        };
        *figure = figure.saturating_add(*n);
    }
    tenants
}

/// The causes of days, that of most missed outcomes first.
pub fn by_cause(days: &[FigureDay]) -> Vec<Cause> {
    let mut causes: BTreeMap<&[String; 4], u64> = BTreeMap::new();
    for (cause, n) in days.iter().flat_map(|day| &day.causes) {
        *causes.entry(cause).or_default() += n;
    }
    let cause = |([fingerprint, class, kind, message], missed): (&[String; 4], u64)| Cause {
        fingerprint: fingerprint.clone(),
        class: class.clone(),
        kind: kind.clone(),
        message: message.clone(),
        missed,
    };
    let mut causes: Vec<Cause> = causes.into_iter().map(cause).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.missed));
    causes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn books(moves: &[(Account, Account, u64)]) -> Books {
        Books { moves: moves.iter().map(|(from, to, n)| ((3, *from, *to), *n)).collect() }
    }

    #[test]
    fn the_figures_of_a_route_follow_from_its_moves() {
        use Account::{
            AchievedInTime, AchievedLate, Duplicate, Missed, Open, Overdue, Received, Reopened, Waived,
            Waiving,
        };
        let books = books(&[
            (Received, Open, 20),
            (Received, Duplicate, 2),
            (Open, AchievedInTime, 9),
            (Open, Overdue, 5),
            (Overdue, AchievedLate, 2),
            (Overdue, Waiving, 1),
            (Waiving, Waived, 1),
            (Open, Missed, 3),
            (Missed, Reopened, 2),
            (Reopened, AchievedLate, 1),
        ]);
        let figures = Figures::of(3, &books, &books);
        assert_eq!((figures.received, figures.duplicate), (22, 2));
        assert_eq!((figures.open, figures.overdue, figures.reopened), (3, 2, 1));
        assert_eq!((figures.achieved_in_time, figures.achieved_late, figures.missed), (9, 3, 3));
        assert_eq!((figures.achieved_first_time, figures.waived), (11, 1));
        assert_eq!(figures.share_in_time(), Some(0.6));
        assert_eq!(Figures::default().share_in_time(), None);
    }

    #[test]
    fn days_are_whole_and_bounded() {
        assert_eq!(days(0, DAY_MS, 9), [1, 0]);
        assert_eq!(days(-1, 0, 9), [0, -1]);
        assert_eq!(days(0, 100 * DAY_MS, 2), [100, 99]);
        assert!(days(DAY_MS, 0, 9).is_empty());
    }

    #[test]
    fn causes_of_several_days_are_one() {
        let cause = |n: &str| [n, "permanent", "k", "m"].map(str::to_owned);
        let day = |causes| FigureDay { causes, ..FigureDay::default() };
        let days = [day(vec![(cause("a"), 1), (cause("b"), 3)]), day(vec![(cause("a"), 4)])];
        let found: Vec<(String, u64)> =
            by_cause(&days).into_iter().map(|cause| (cause.fingerprint, cause.missed)).collect();
        assert_eq!(found, [("a".to_owned(), 5), ("b".to_owned(), 3)]);
    }

    proptest! {
        #[test]
        fn a_period_is_the_difference_of_its_ends(
            before in prop::collection::vec((0..14_usize, 0..14_usize, 0..1_000_u64), 0..20),
            moved in prop::collection::vec((0..14_usize, 0..14_usize, 0..1_000_u64), 0..20),
        ) {
            let add = |books: &mut Books, moves: &[(usize, usize, u64)]| {
                for (from, to, n) in moves {
                    *books.moves.entry((3, Account::ALL[*from], Account::ALL[*to])).or_default() += n;
                }
            };
            let (mut begin, mut end) = (Books::default(), Books::default());
            add(&mut begin, &before);
            add(&mut end, &before);
            add(&mut end, &moved);
            let (period, first) = (Figures::of(3, &end.since(&begin), &end), Figures::of(3, &begin, &begin));
            let all = Figures::of(3, &end, &end);
            prop_assert_eq!(first.decided() + period.decided(), all.decided());
            prop_assert_eq!(first.received + period.received, all.received);
            prop_assert_eq!(period.open, all.open);
            prop_assert!(period.share_in_time().is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
    }
}
