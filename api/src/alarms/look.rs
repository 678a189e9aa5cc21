//! Reads what alarms look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future;
use upshot_ledger::{
    alarms::{QueueReading, Readings, RouteReading},
    objective::{self, Pace},
    summary::Figures,
};
use upshot_queue::{Account, Client, Error, NO_ROUTE};
use upshot_shared::{
    Route,
    schedule::stored::{NOT_STORED, not_stored, troubles},
};

use crate::state::Shared;

/// How long a look waits for Redis.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads everything. What does not answer is left open.
pub(super) async fn readings(state: &Shared, now: i64) -> Readings {
    let queue = async |queue: &Client| {
        let read = tokio::time::timeout(PATIENCE, of_queue(state, queue, now)).await;
        (queue.name().to_string(), read.ok().and_then(Result::ok))
    };
    let queues = future::join_all(state.queues.values().map(queue));
    let quarantine = tokio::time::timeout(PATIENCE, state.quarantine.figures());
    let (queues, quarantine) = future::join(queues, quarantine).await;
    let quarantine = quarantine.ok().and_then(Result::ok).map(|figures| {
        let received = figures.by_reason().into_iter();
        received.map(|(reason, balance)| (reason.to_owned(), balance.received)).collect()
    });
    let bridges = state.depths.borrow().map(|depths| depths.intake.consumers);
    Readings { queues: queues.into_iter().collect(), bridges, quarantine }
}

/// Reads a queue; the cost does not depend on the number of its jobs and outcomes.
async fn of_queue(state: &Shared, queue: &Client, now: i64) -> Result<QueueReading, Error> {
    let figures = future::try_join4(
        queue.counts(),
        queue.outbox(),
        queue.workers(),
        state.run_times.count_at_risk(queue, now),
    );
    let books = future::try_join3(queue.routes(), queue.books(), objective::read(queue, now));
    let ((counts, outbox, workers, (at_risk, _)), (names, books, moved)) =
        future::try_join(figures, books).await?;
    let numbers: Vec<u32> = names.keys().copied().filter(|number| *number != NO_ROUTE).collect();
    let mut schedules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let there = queue.schedules().await?;
    for stored in &there.seen {
        for trouble in troubles(stored, &workers, there.now) {
            schedules.entry(trouble.as_str().to_owned()).or_default().push(stored.name.clone());
        }
    }
    let own = state.schedules_of(queue.name());
    let missing: Vec<String> = not_stored(&own, &there).into_iter().map(str::to_owned).collect();
    if !missing.is_empty() {
        schedules.insert(NOT_STORED.to_owned(), missing);
    }
    let oldest = queue.oldest_outcomes(&numbers, Account::Overdue).await?;
    let oldest: BTreeMap<u32, i64> =
        numbers.into_iter().zip(oldest).filter_map(|(number, due)| Some((number, due?))).collect();
    let numbers: BTreeMap<&str, u32> = names
        .iter()
        .filter(|(number, _)| **number != NO_ROUTE)
        .map(|(number, name)| (name.as_str(), *number))
        .collect();
    let configured: BTreeMap<&str, &Route> = state
        .intake
        .all_routes()
        .filter(|route| route.queue == *queue.name())
        .map(|route| (route.name.as_str(), route))
        .collect();
    let all: BTreeSet<&str> = configured.keys().chain(numbers.keys()).copied().collect();
    let route = |name: &str| {
        let (number, settings) = (numbers.get(name).copied(), configured.get(name));
        let figures = number.map_or_else(Figures::default, |number| Figures::of(number, &books, &books));
        let without_worker =
            settings.filter(|route| !workers.run(&route.job, route.version)).map(|route| route.job.clone());
        let standing =
            settings.and_then(|route| route.objective).map(|objective| moved.standing(number, objective));
        RouteReading {
            route: name.to_owned(),
            without_worker,
            open: figures.open + figures.overdue + figures.reopened,
            overdue: figures.overdue,
            oldest_due: number.and_then(|number| oldest.get(&number).copied()),
            at_risk: number.and_then(|number| at_risk.get(&number).copied()).unwrap_or(0),
            missed: figures.missed,
            pace: standing.map_or(Pace::Calm, |standing| standing.pace()),
        }
    };
    let groups = outbox.groups.into_iter();
    Ok(QueueReading {
        routes: all.into_iter().map(route).collect(),
        contradictions: counts.signals.contradictions,
        unexplained: state.unexplained.of(queue.name()),
        schedules,
        outbox: groups.filter_map(|group| Some((group.name, group.needs_since?))).collect(),
    })
}
