//! Shows the outcomes of one event. The event is a query (`source`, `id`), because a source contains
//! slashes.

use std::collections::BTreeSet;

use axum::response::Response;
use futures::future;
use upshot_ledger::list::Found;
use upshot_queue::{Job, JobId, QueueName};
use upshot_shared::event::Identity;

use super::OutcomePage;
use crate::{
    accepted::{ACCEPTED, AcceptedAt, answer},
    access::Caller,
    links::Links,
    problem::{Code, Problem},
    query::Query,
    report,
    state::Shared,
};

/// The parameters of such a request.
const PARAMETERS: [&str; 3] = ["source", "id", ACCEPTED];

/// Shows how an event's expectations stand.
///
/// The jobs' ids follow from the event and the routes, so nothing is searched.
pub(super) async fn outcomes(
    state: &Shared,
    caller: &Caller,
    links: &Links,
    raw: Option<&str>,
) -> Result<Response, Problem> {
    let query = Query::parse(raw, &PARAMETERS)?;
    let accepted = AcceptedAt::of(&query)?.filter(|at| at.left().is_some());
    let required = |name: &str| {
        query.name(name)?.ok_or_else(|| Problem::parameter(name, "", "give the event's `source` and `id`"))
    };
    let (source, id) = (required("source")?, required("id")?);
    // Two routes for two versions of an event may lead to the same job.
    let jobs: BTreeSet<(QueueName, JobId)> = state
        .intake
        .all_routes()
        .flat_map(|route| {
            [Identity::Id(&id), Identity::Key(&id)]
                .map(|identity| (route.queue.clone(), route.job_id(&source, identity)))
        })
        .collect();
    let (mut found, now) = future::try_join(read(state, &jobs), state.now()).await?;
    let originals = originals(state, &jobs, &found).await?;
    found.extend(read(state, &originals).await?);
    let mut jobs = found;
    jobs.retain(|job| caller.sees(job));
    // Of a job that is gone, nothing says whether a principal of some jobs saw it.
    let originals = if caller.scope().is_everything() { originals } else { BTreeSet::new() };
    if let (Some(at), true) = (accepted, jobs.is_empty() && originals.is_empty()) {
        return Ok(answer(Err::<OutcomePage, _>(at.not_yet())));
    }
    if jobs.is_empty() {
        let detail = match originals.first() {
            Some((_, original)) => format!(
                "the event `{id}` of `{source}` was found to be a duplicate of that of job {original} under the \
                 idempotency key of its route, and that job was forgotten after its retention"
            ),
            None => format!(
                "no job is known for the event `{id}` of `{source}`: it is not enqueued yet, it was quarantined, \
                 or its jobs were forgotten after their retention; for an event with an idempotency key, give the key as `id`"
            ),
        };
        return Err(Problem::new(Code::UnknownEvent, detail));
    }
    let found: Vec<Found> = jobs.into_iter().map(|job| Found::Job(Box::new(job))).collect();
    let outcomes = report::reports(state, &found, now, links, &state.shown).await?;
    Ok(answer(Ok(OutcomePage { outcomes, next: None, searched: None })))
}

/// For the jobs that were not found: the jobs that stand for them.
async fn originals(
    state: &Shared,
    jobs: &BTreeSet<(QueueName, JobId)>,
    found: &[Job],
) -> Result<BTreeSet<(QueueName, JobId)>, Problem> {
    let rules: BTreeSet<&QueueName> =
        state.intake.all_routes().filter(|route| route.unique.is_some()).map(|route| &route.queue).collect();
    let read = |name: &QueueName| {
        let (queue, name) = (state.queues.get(name).cloned()?, name.clone());
        let absent = |(of, id): &&(QueueName, JobId)| *of == name && found.iter().all(|job| job.id != *id);
        let ids: Vec<JobId> = jobs.iter().filter(absent).map(|(_, id)| id.clone()).collect();
        Some(async move {
            let originals = queue.originals(&ids).await?;
            Ok(originals.into_iter().flatten().map(|id| (name.clone(), id)).collect::<Vec<_>>())
        })
    };
    let originals = state.read(|| future::try_join_all(rules.iter().filter_map(|name| read(name)))).await?;
    Ok(originals.into_iter().flatten().collect())
}

async fn read(state: &Shared, jobs: &BTreeSet<(QueueName, JobId)>) -> Result<Vec<Job>, Problem> {
    let read = |(queue, id): &(QueueName, JobId)| {
        let (queue, id) = (state.queues.get(queue).cloned(), id.clone());
        async move {
            match queue {
                Some(queue) => queue.job(&id).await,
                None => Ok(None),
            }
        }
    };
    let found = state.read(|| future::try_join_all(jobs.iter().map(read))).await?;
    Ok(found.into_iter().flatten().collect())
}
