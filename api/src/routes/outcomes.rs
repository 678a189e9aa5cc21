//! `GET /v1/outcomes…`: shows how expectations stand, by job or by event. The event is a query
//! (`source`, `id`), because a source contains slashes.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use futures::future;
use serde::Serialize;
use upshot_queue::{Job, JobId, QueueName};
use upshot_shared::event::Identity;
use utoipa::ToSchema;

use crate::{
    accepted::{ACCEPTED, AcceptedAt, NotYet, answer},
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    state::{Shared, job_id},
    view::OutcomeReport,
};

/// How the expectations of one event stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventOutcomes {
    /// One for each known job.
    outcomes: Vec<OutcomeReport>,
}

/// Shows how a job's expectation stands.
#[utoipa::path(
    get,
    path = "/v1/outcomes/{id}",
    operation_id = "show_outcome",
    tag = "outcomes",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
    ),
    responses(
        (status = 200, description = "How it stands", body = OutcomeReport),
        (status = 202, description = "The event is accepted, the job not enqueued yet", body = NotYet,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 400, description = "This cannot be a job's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn of_job(
    State(state): State<Shared>,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &[ACCEPTED])?;
    let (id, accepted) = (job_id(&id)?, AcceptedAt::of(&query)?);
    let (found, now) = future::try_join(state.find_or_accepted(&id, accepted), state.now()).await?;
    Ok(answer(found.map(|known| OutcomeReport::new(&known.job, now, &links))))
}

/// Shows how an event's expectations stand.
///
/// The jobs' ids follow from the event and the routes, so nothing is searched. If the event is a
/// duplicate of another event under the idempotency key of its route, the outcome is that of the
/// other event's job. The outcome names that event.
#[utoipa::path(
    get,
    path = "/v1/outcomes",
    operation_id = "list_outcomes",
    tag = "outcomes",
    params(
        ("source" = String, Query, description = "The event's source", example = "/shops/berlin"),
        ("id" = String, Query, description = "The event's id, or its `idempotencykey` if it has one", example = "5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
    ),
    responses(
        (status = 200, description = "How they stand", body = EventOutcomes),
        (status = 202, description = "The event is accepted, none of its jobs enqueued yet", body = NotYet,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 400, description = "A parameter is missing, not known, or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No job of this event is known", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn of_event(
    State(state): State<Shared>,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &["source", "id", ACCEPTED])?;
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
    let (mut found, now) = future::try_join(read(&state, &jobs), state.now()).await?;
    let originals = originals(&state, &jobs, &found).await?;
    found.extend(read(&state, &originals).await?);
    let jobs = found;
    if let (Some(at), true) = (accepted, jobs.is_empty() && originals.is_empty()) {
        return Ok(answer(Err::<EventOutcomes, _>(at.not_yet())));
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
    let outcomes = jobs.iter().map(|job| OutcomeReport::new(job, now, &links)).collect();
    Ok(answer(Ok(EventOutcomes { outcomes })))
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
