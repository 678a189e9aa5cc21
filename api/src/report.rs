//! Completes outcomes for an answer: the names of their routes, and which are at risk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future;
use upshot_ledger::{list::Found, risk::Work};
use upshot_queue::{Account, Error, Job, JobId, QueueName, State};

use crate::{
    links::Links,
    problem::Problem,
    shown::Shown,
    state::Shared,
    view::{Beside, OutcomeReport},
};

/// The names of the routes of each queue, by their numbers.
pub type Routes = BTreeMap<QueueName, BTreeMap<u32, String>>;

/// Reads the names of the routes of these queues.
///
/// # Errors
/// When Redis failed.
pub async fn routes(state: &Shared, queues: &BTreeSet<QueueName>) -> Result<Routes, Problem> {
    let known: Vec<_> = queues.iter().filter_map(|name| state.queues.get(name)).collect();
    let read = state.read(|| future::try_join_all(known.iter().map(|queue| queue.routes()))).await?;
    Ok(known.iter().map(|queue| queue.name().clone()).zip(read).collect())
}

/// Reports of outcomes, in order.
///
/// # Errors
/// When Redis failed.
pub async fn reports(
    state: &Shared,
    found: &[Found],
    now: i64,
    links: &Links,
    shown: &Shown,
) -> Result<Vec<OutcomeReport>, Problem> {
    let queues: BTreeSet<QueueName> = found.iter().map(|found| queue_of(found).clone()).collect();
    let (routes, at_risk) = future::try_join(routes(state, &queues), at_risk(state, found, now)).await?;
    let types: HashMap<&str, &str> =
        state.intake.all_routes().map(|route| (route.name.as_str(), route.event.as_str())).collect();
    let beside = |queue: &QueueName, number: Option<u32>, at_risk: bool| {
        let route = routes.get(queue).and_then(|routes| routes.get(&number?)).map(String::as_str);
        Beside { route, event_type: route.and_then(|route| types.get(route).copied()), at_risk }
    };
    let report = |found: &Found| match found {
        Found::Job(job) => {
            let number = job.expectation.map(|expectation| expectation.route);
            let beside = beside(&job.queue, number, at_risk.contains(&job.id));
            OutcomeReport::new(job, beside, now, links, shown)
        }
        Found::Row(queue, row) => {
            OutcomeReport::of_row(queue, row, beside(queue, Some(row.route), false), links, shown)
        }
    };
    Ok(found.iter().map(report).collect())
}

fn queue_of(found: &Found) -> &QueueName {
    match found {
        Found::Job(job) => &job.queue,
        Found::Row(queue, _) => queue,
    }
}

/// The open ones of these that are at risk.
async fn at_risk(state: &Shared, found: &[Found], now: i64) -> Result<BTreeSet<JobId>, Problem> {
    let open = |found: &Found| match found {
        Found::Job(job) if job.expectation.is_some_and(|it| it.account == Account::Open) => {
            Some((**job).clone())
        }
        _ => None,
    };
    let mut by_queue: BTreeMap<QueueName, Vec<Job>> = BTreeMap::new();
    for job in found.iter().filter_map(open) {
        by_queue.entry(job.queue.clone()).or_default().push(job);
    }
    let judged = state
        .read(|| future::try_join_all(by_queue.iter().map(|(name, jobs)| of_queue(state, name, jobs, now))));
    Ok(judged.await?.into_iter().flatten().collect())
}

async fn of_queue(state: &Shared, name: &QueueName, jobs: &[Job], now: i64) -> Result<Vec<JobId>, Error> {
    let Some(queue) = state.lists.get(name) else { return Ok(Vec::new()) };
    let scheduled: Vec<JobId> =
        jobs.iter().filter(|job| job.state == State::Scheduled).map(|job| job.id.clone()).collect();
    let (times, starts) = future::try_join(state.run_times.of(queue), queue.due_times(&scheduled)).await?;
    let starts: HashMap<JobId, Option<i64>> = scheduled.into_iter().zip(starts).collect();
    let is_at_risk = |job: &&Job| {
        let start = starts.get(&job.id).copied().flatten();
        times.is_at_risk(job, Work::of(job, start), now)
    };
    Ok(jobs.iter().filter(is_at_risk).map(|job| job.id.clone()).collect())
}
