//! The figures of objectives by route.

use std::collections::BTreeMap;

use futures::future;
use upshot_ledger::objective::{self, Standing, Tally, Window};
use upshot_queue::{Client, Error};
use upshot_shared::Route;

use super::{escaped, family};

/// How the routes of a queue stand beside their objectives.
#[derive(Debug, Default)]
pub(super) struct Objectives {
    /// By route: how it stands, and what was counted since the queue began.
    routes: Vec<(String, Standing, Tally)>,
}

impl Objectives {
    /// Reads them; the cost does not depend on the number of outcomes.
    pub(super) async fn read(queue: &Client, routes: &[Route]) -> Result<Self, Error> {
        if routes.iter().all(|route| route.objective.is_none()) {
            return Ok(Self::default());
        }
        let now = chrono::Utc::now().timestamp_millis();
        let (names, moved) = future::try_join(queue.routes(), objective::read(queue, now)).await?;
        let numbers: BTreeMap<&str, u32> =
            names.iter().map(|(number, name)| (name.as_str(), *number)).collect();
        let each = |route: &Route| {
            let number = numbers.get(route.name.as_str()).copied();
            let standing = moved.standing(number, route.objective?);
            Some((route.name.clone(), standing, moved.counted(number)))
        };
        Ok(Self { routes: routes.iter().filter_map(each).collect() })
    }
}

/// Writes the figures of all queues.
pub(super) fn render(text: &mut String, queues: &[(&str, &Objectives)]) {
    let each = |(queue, of): &(&str, &Objectives)| {
        let labels = |name: &str| format!("queue=\"{queue}\",route=\"{}\"", escaped(name));
        of.routes
            .iter()
            .map(|(name, standing, all)| (labels(name), standing.clone(), *all))
            .collect::<Vec<_>>()
    };
    let routes: Vec<(String, Standing, Tally)> = queues.iter().flat_map(each).collect();
    let objective = routes.iter().map(|(labels, of, _)| (labels.clone(), of.objective.share()));
    let help = "The share of outcomes that should be achieved in time.";
    family(text, "upshot_objective_ratio", "gauge", help, objective);
    let counted = routes.iter().flat_map(|(labels, _, all)| {
        let results = [("in_time", all.in_time), ("not_in_time", all.not_in_time)];
        results.map(|(result, n)| (format!("{labels},result=\"{result}\""), n))
    });
    let help = "Outcomes of routes with an objective since the queue began, each counted once: when it is first \
                decided, or late.";
    family(text, "upshot_objective_outcomes_total", "counter", help, counted);
    let left = routes.iter().map(|(labels, of, _)| (labels.clone(), of.budget_left()));
    let help = "The share of the budget of 30 days that is left; below 0 where it is overspent.";
    family(text, "upshot_objective_budget_left_ratio", "gauge", help, left);
    let of_window = |labels: &str, window: Window| format!("{labels},window=\"{}\"", window.as_str());
    let burn = routes.iter().flat_map(|(labels, of, _)| {
        Window::ALL.map(|window| (of_window(labels, window), of.burn(window).unwrap_or(0.0)))
    });
    let help = "How fast the budget is used up over a time: at 1 it lasts for 30 days.";
    family(text, "upshot_objective_burn_ratio", "gauge", help, burn);
    let late = routes.iter().flat_map(|(labels, of, _)| {
        Window::ALL.map(|window| (of_window(labels, window), of.tally(window).not_in_time))
    });
    let help = "Outcomes over a time that were counted as late or missed.";
    family(text, "upshot_objective_not_in_time", "gauge", help, late);
}
