//! The figures of outcomes by route, from the books.

use std::collections::{BTreeMap, HashMap};

use futures::future;
use upshot_ledger::{
    clocks::{Quantiles, Times},
    risk::RunTimesCache,
    summary::Figures,
};
use upshot_queue::{Account, Books, Client, Error, NO_ROUTE, Stage};
use upshot_shared::Route;

use super::{escaped, family, family_of};

/// How far back the times of a scrape go, ms: this hour and the last one.
const TIMES: i64 = 3_600_000;

/// The figures of the outcomes of a queue.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    routes: BTreeMap<u32, String>,
    /// Routes of the settings without a job so far. They begin at 0, so that a rate has a beginning.
    unused: Vec<String>,
    books: Books,
    /// When the oldest overdue outcome of a route was due, UTC ms.
    oldest: HashMap<u32, i64>,
    at_risk: HashMap<u32, u64>,
    times: Times,
    /// When they were read, UTC ms.
    now: i64,
}

impl Outcomes {
    /// Reads them; the cost does not depend on the number of outcomes.
    pub(super) async fn read(
        queue: &Client,
        times: &RunTimesCache,
        settings: &[Route],
    ) -> Result<Self, Error> {
        let now = chrono::Utc::now().timestamp_millis();
        let (mut routes, books, (at_risk, _)) =
            future::try_join3(queue.routes(), queue.books(), times.count_at_risk(queue, now)).await?;
        routes.remove(&NO_ROUTE);
        let numbers: Vec<u32> = routes.keys().copied().collect();
        let oldest = queue.oldest_outcomes(&numbers, Account::Overdue).await?;
        let oldest = numbers.into_iter().zip(oldest).filter_map(|(route, due)| Some((route, due?))).collect();
        let times = Times::read(queue, routes.keys().copied(), (now - TIMES, now), now).await?;
        let is_unused = |route: &&Route| !routes.values().any(|name| *name == route.name);
        let unused = settings.iter().filter(is_unused).map(|route| route.name.clone()).collect();
        Ok(Self { routes, unused, books, oldest, at_risk, times, now })
    }

    /// Each route: its labels, its number and its figures.
    fn each(&self, queue: &str) -> Vec<(String, u32, Figures)> {
        let labels = |name: &str| format!("queue=\"{queue}\",route=\"{}\"", escaped(name));
        let used = self
            .routes
            .iter()
            .map(|(number, name)| (labels(name), *number, Figures::of(*number, &self.books, &self.books)));
        let unused = self.unused.iter().map(|name| (labels(name), NO_ROUTE, Figures::default()));
        used.chain(unused).collect()
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
    let oldest = routes.iter().map(|(labels, number, _, of)| {
        let oldest = of.times.routes.get(number).and_then(|times| times.oldest.as_ref());
        (labels.clone(), oldest.map_or(0, |oldest| oldest.age.unsigned_abs() / 1_000))
    });
    let help = "Age of the oldest outcome without a verdict, from the time of its event on.";
    family(text, "upshot_outcomes_oldest_open_seconds", "gauge", help, oldest);
    let times = routes.iter().flat_map(|(labels, number, _, of)| stages(labels, *number, &of.times));
    let help = "Quantiles of the time that outcomes spent in a stage which were achieved in this hour or the last \
                one, at most 4.4 % beside the exact ones; `whole` is the time from the event to achieved.";
    family_of(text, "upshot_outcome_stage_seconds", "gauge", help, times);
}

/// The samples of a route, by stage and percentile.
fn stages(labels: &str, route: u32, times: &Times) -> Vec<(String, f64)> {
    let Some(of) = times.routes.get(&route).map(|times| &times.clocks) else { return Vec::new() };
    let stages = Stage::ALL.into_iter().map(|stage| (stage.as_str(), Quantiles::of(&of.of(stage))));
    let all = stages.chain([("whole", Quantiles::of(&of.whole))]);
    let samples = all.filter_map(|(stage, quantiles)| {
        let Quantiles { p50, p95, p99 } = quantiles?;
        Some([(50, p50), (95, p95), (99, p99)].map(|(percentile, ms)| {
            (format!("{labels},stage=\"{stage}\",percentile=\"{percentile}\""), ms as f64 / 1_000.0)
        }))
    });
    samples.flatten().collect()
}

#[cfg(test)]
mod tests {
    use upshot_ledger::clocks::{Oldest, RouteTimes};
    use upshot_queue::histogram::bucket_of;

    use super::*;

    #[test]
    fn each_route_has_its_figures() {
        let moves = [
            ((3, Account::Received, Account::Open), 9),
            ((3, Account::Open, Account::Overdue), 4),
            ((3, Account::Open, Account::AchievedInTime), 2),
        ];
        let oldest = Oldest { job: "a".repeat(26).parse().unwrap(), age: 61_500 };
        let mut route = RouteTimes { oldest: Some(oldest), ..RouteTimes::default() };
        route.clocks.whole.add(bucket_of(1_000), 2);
        let outcomes = Outcomes {
            routes: [(3, "orders \"a\"".to_owned())].into(),
            unused: vec!["new".to_owned()],
            books: Books { moves: moves.into() },
            oldest: [(3, 1_000)].into(),
            at_risk: [(3, 1)].into(),
            times: Times { routes: [(3, route)].into(), ..Times::default() },
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
            "\nupshot_outcomes_total{queue=\"invoices\",route=\"new\",status=\"missed\"} 0\n".to_owned(),
            format!("\nupshot_outcomes_oldest_overdue_seconds{{{labels}}} 60\n"),
            format!("\nupshot_outcomes_oldest_open_seconds{{{labels}}} 61\n"),
            format!("\nupshot_outcome_stage_seconds{{{labels},stage=\"whole\",percentile=\"95\"}} 0.981\n"),
            format!("\nupshot_outcome_stage_seconds{{{labels},stage=\"run\",percentile=\"50\"}} 0\n"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
