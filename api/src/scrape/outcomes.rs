//! The figures of outcomes by route, from the books.

use std::collections::{BTreeMap, HashMap};

use futures::future;
use upshot_ledger::{risk::RunTimesCache, summary::Figures};
use upshot_queue::{Account, Books, Client, Error, NO_ROUTE};

use super::{escaped, family};

/// The figures of the outcomes of a queue.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    routes: BTreeMap<u32, String>,
    books: Books,
    /// When the oldest overdue outcome of a route was due, UTC ms.
    oldest: HashMap<u32, i64>,
    at_risk: HashMap<u32, u64>,
    /// When they were read, UTC ms.
    now: i64,
}

impl Outcomes {
    /// Reads them; the cost does not depend on the number of outcomes.
    pub(super) async fn read(queue: &Client, times: &RunTimesCache) -> Result<Self, Error> {
        let now = chrono::Utc::now().timestamp_millis();
        let (mut routes, books, (at_risk, _)) =
            future::try_join3(queue.routes(), queue.books(), times.count_at_risk(queue, now)).await?;
        routes.remove(&NO_ROUTE);
        let numbers: Vec<u32> = routes.keys().copied().collect();
        let oldest = queue.oldest_outcomes(&numbers, Account::Overdue).await?;
        let oldest = numbers.into_iter().zip(oldest).filter_map(|(route, due)| Some((route, due?))).collect();
        Ok(Self { routes, books, oldest, at_risk, now })
    }

    /// Each route: its labels, its number and its figures.
    fn each(&self, queue: &str) -> Vec<(String, u32, Figures)> {
        let each = |(number, name): (&u32, &String)| {
            let labels = format!("queue=\"{queue}\",route=\"{}\"", escaped(name));
            (labels, *number, Figures::of(*number, &self.books, &self.books))
        };
        self.routes.iter().map(each).collect()
    }
}

/// Writes the figures of all queues.
pub(super) fn render(text: &mut String, queues: &[(&str, &Outcomes)]) {
    let routes: Vec<(String, u32, Figures, &Outcomes)> = queues
        .iter()
        .flat_map(|(queue, of)| of.each(queue).into_iter().map(move |(labels, n, all)| (labels, n, all, *of)))
        .collect();
    let samples = |figures: fn(&Figures) -> Vec<(Account, u64)>| {
        let of_route = move |(labels, _, all, _): &(String, u32, Figures, &Outcomes)| {
            let labels = labels.clone();
            figures(all).into_iter().map(move |(status, n)| (format!("{labels},status=\"{status}\""), n))
        };
        routes.iter().flat_map(of_route).collect::<Vec<_>>()
    };
    let open = samples(|all| {
        vec![
            (Account::Open, all.open),
            (Account::Awaiting, all.awaiting),
            (Account::Overdue, all.overdue),
            (Account::Reopened, all.reopened),
        ]
    });
    family(text, "upshot_outcomes", "gauge", "Outcomes without a verdict.", open);
    let verdicts = samples(|all| {
        vec![
            (Account::AchievedInTime, all.achieved_in_time),
            (Account::AchievedLate, all.achieved_late),
            (Account::Partial, all.partial),
            (Account::Missed, all.missed),
            (Account::Cancelled, all.cancelled),
            (Account::Waived, all.waived),
            (Account::Overdue, all.became_overdue),
            (Account::Reopened, all.became_reopened),
        ]
    });
    let help = "Verdicts since the queue began, and how often outcomes became overdue or were reopened.";
    family(text, "upshot_outcomes_total", "counter", help, verdicts);
    let at_risk = routes
        .iter()
        .map(|(labels, number, _, of)| (labels.clone(), of.at_risk.get(number).copied().unwrap_or(0)));
    let help = "Open outcomes that will probably be late, of those that are due next.";
    family(text, "upshot_outcomes_at_risk", "gauge", help, at_risk);
    let oldest = routes.iter().map(|(labels, number, _, of)| {
        let late = of.oldest.get(number).map_or(0, |due| of.now.saturating_sub(*due).max(0));
        (labels.clone(), late.unsigned_abs() / 1_000)
    });
    let help = "How long the oldest overdue outcome is late.";
    family(text, "upshot_outcomes_oldest_overdue_seconds", "gauge", help, oldest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_its_figures() {
        let moves = [
            ((3, Account::Received, Account::Open), 9),
            ((3, Account::Open, Account::Overdue), 4),
            ((3, Account::Open, Account::AchievedInTime), 2),
        ];
        let outcomes = Outcomes {
            routes: [(3, "orders \"a\"".to_owned())].into(),
            books: Books { moves: moves.into() },
            oldest: [(3, 1_000)].into(),
            at_risk: [(3, 1)].into(),
            now: 61_500,
        };
        let mut text = String::new();
        render(&mut text, &[("invoices", &outcomes)]);
        let labels = "queue=\"invoices\",route=\"orders \\\"a\\\"\"";
        for line in [
            format!("\nupshot_outcomes{{{labels},status=\"open\"}} 3\n"),
            format!("\nupshot_outcomes{{{labels},status=\"overdue\"}} 4\n"),
            format!("\nupshot_outcomes_total{{{labels},status=\"achieved_in_time\"}} 2\n"),
            format!("\nupshot_outcomes_total{{{labels},status=\"missed\"}} 0\n"),
            format!("\nupshot_outcomes_at_risk{{{labels}}} 1\n"),
            format!("\nupshot_outcomes_oldest_overdue_seconds{{{labels}}} 60\n"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
