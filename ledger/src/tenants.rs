//! Figures by tenant: today and over 30 days, of the busiest tenants, the others together.

use std::{cmp::Reverse, collections::BTreeMap};

use upshot_queue::FigureDay;

use crate::summary::{Figures, by_tenant};

/// Days of the longer figures, today included.
pub const DAYS: usize = 30;
/// Tenants that are shown apart at most.
pub const MOST: usize = 1_000;
/// The name under which a day counts tenants for which it has no room.
const OTHERS: &str = "*";

/// The figures of a tenant. All are counted in the moment of what they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantFigures {
    /// Since midnight, UTC.
    pub today: Figures,
    /// Of 30 days, today included.
    pub days: Figures,
}

impl TenantFigures {
    fn add(&mut self, other: &Self) {
        self.today.add(&other.today);
        self.days.add(&other.days);
    }
}

/// By what tenants are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// That of most missed outcomes in 30 days first.
    #[default]
    Missed,
    /// That with most outcomes that became overdue.
    Overdue,
    /// That with most late ones.
    Late,
    /// That with most verdicts.
    Verdicts,
}

impl Order {
    fn of(self, figures: &TenantFigures) -> (u64, u64) {
        let Figures { missed, became_overdue, achieved_late, .. } = figures.days;
        let first = match self {
            Self::Missed => missed,
            Self::Overdue => became_overdue,
            Self::Late => achieved_late,
            Self::Verdicts => 0,
        };
        (first, verdicts(&figures.days))
    }
}

fn verdicts(figures: &Figures) -> u64 {
    figures.decided() + figures.cancelled + figures.waived
}

/// The tenants and their figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    /// The busiest in order; an empty name for jobs without a tenant.
    pub tenants: Vec<(String, TenantFigures)>,
    /// The others together.
    pub others: TenantFigures,
}

/// Adds up the days of all queues: those of today, and those of the days before.
pub fn tenants(today: &[FigureDay], before: &[FigureDay], order: Order) -> Tenants {
    let mut all: BTreeMap<String, TenantFigures> = BTreeMap::new();
    for (name, figures) in by_tenant(today) {
        let sum = all.entry(name).or_default();
        sum.today.add(&figures);
        sum.days.add(&figures);
    }
    for (name, figures) in by_tenant(before) {
        all.entry(name).or_default().days.add(&figures);
    }
    let mut others = all.remove(OTHERS).unwrap_or_default();
    let mut tenants: Vec<(String, TenantFigures)> = all.into_iter().collect();
    tenants.sort_by_key(|(_, figures)| Reverse(verdicts(&figures.days)));
    for (_, figures) in tenants.drain(MOST.min(tenants.len())..) {
        others.add(&figures);
    }
    // Names of the same figures stay in their order.
    tenants
        .sort_by(|(one, first), (other, second)| order.of(second).cmp(&order.of(first)).then(one.cmp(other)));
    Tenants { tenants, others }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use upshot_queue::Account;

    use super::*;

    fn day(of: &[(&str, Account, u64)]) -> FigureDay {
        let tenants = of.iter().map(|(name, account, n)| ((*name).to_owned(), *account, *n)).collect();
        FigureDay { tenants, ..FigureDay::default() }
    }

    #[test]
    fn today_is_a_part_of_the_days() {
        let today = [
            day(&[("acme", Account::Missed, 2)]),
            day(&[("acme", Account::AchievedInTime, 5), ("*", Account::Missed, 1)]),
        ];
        let before = [day(&[
            ("acme", Account::Missed, 1),
            ("blum", Account::Overdue, 9),
            ("", Account::AchievedLate, 4),
        ])];
        let found = tenants(&today, &before, Order::Missed);
        let names = |order| {
            let found = tenants(&today, &before, order);
            found.tenants.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let (name, acme) = &found.tenants[0];
        assert_eq!(
            (name.as_str(), acme.today.missed, acme.days.missed, acme.days.achieved_in_time),
            ("acme", 2, 3, 5)
        );
        assert_eq!((found.others.today.missed, found.others.days.missed), (1, 1));
        assert_eq!(names(Order::Missed), ["acme", "", "blum"]);
        assert_eq!(names(Order::Overdue), ["blum", "acme", ""]);
        assert_eq!(names(Order::Late), ["", "acme", "blum"]);
        assert_eq!(names(Order::Verdicts), ["acme", "", "blum"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_beyond_the_busiest(counts in prop::collection::vec(1u64..5, 990..1_020)) {
            let names: Vec<String> = (0..counts.len()).map(|n| format!("t-{n}")).collect();
            let of: Vec<_> = names.iter().zip(&counts).map(|(name, n)| (name.as_str(), Account::Missed, *n)).collect();
            let found = tenants(&[day(&of)], &[], Order::Missed);
            let shown: u64 = found.tenants.iter().map(|(_, figures)| figures.days.missed).sum();
            prop_assert_eq!(shown + found.others.days.missed, counts.iter().sum::<u64>());
            prop_assert!(found.tenants.len() <= MOST);
            let least = found.tenants.last().map_or(0, |(_, figures)| figures.days.missed);
            prop_assert!(found.others.days.missed <= least * (counts.len().saturating_sub(MOST)) as u64);
        }
    }
}
