//! `GET /v1/jobs/{id}/why`: what holds a job now.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use upshot_ledger::why::{self, Estimate, Figures, Hold};
use upshot_queue::{Client, Error, Job, JobId, State as JobState};

use crate::{
    accepted::{ACCEPTED, AcceptedAt},
    access::Caller,
    problem::{Details, Problem},
    query::Query,
    state::{Shared, job_id, unknown},
    view::{Of, WhyBody},
};

/// Says what holds a job now.
///
/// The answer is one reason, in a sentence and as fields, and an estimate of start and finish as a
/// range from recent figures. `also` has what would hold the job next. The cost does not grow with the
/// number of jobs. With the parameter `accepted` of a 202's link, an event whose job is not enqueued
/// yet is answered with `not_enqueued` for an hour.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/why",
    operation_id = "explain_job",
    extensions(("x-right" = json!("see-own"))),
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
    ),
    responses(
        (status = 200, description = "What holds it", body = WhyBody),
        (status = 400, description = "This cannot be a job's id, or a parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (yet, or any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn why(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<WhyBody>, Problem> {
    let (id, query) = (job_id(&id)?, Query::parse(raw.as_deref(), &[ACCEPTED])?);
    let accepted = AcceptedAt::of(&query)?;
    let found = state.find_or_accepted(&caller, &id, accepted).await?;
    let Ok(known) = found else {
        let accepted_at = accepted.map(AcceptedAt::millis).unwrap_or_default();
        return not_enqueued(&state, &id, accepted_at).await;
    };
    let (queue, id) = (state.queues.get(&known.job.queue).ok_or_else(|| unknown(&id))?, &known.job.id);
    // It may have been forgotten meanwhile.
    let standing = state.read(|| queue.standing(id)).await?.ok_or_else(|| unknown(id))?;
    let job = &standing.job;
    let budget = match job.state {
        JobState::Scheduled => state.read(|| budget(queue, job)).await?,
        _ => None,
    };
    let mut holds = why::holds(&standing, budget);
    for hold in &mut holds {
        if let Hold::Limit { holders, .. } = hold {
            *holders = seen(&state, &caller, queue, holders).await?;
        }
    }
    let times = state.read(|| state.run_times.of(queue)).await?;
    let route = job.expectation.map(|expectation| expectation.route);
    let figures = Figures { run: route.and_then(|route| times.of(route).range()), pace: times.pace() };
    let estimate = why::estimate(&holds, &standing, &figures);
    let kind = format!("{}@{}", job.kind, job.version);
    let of = Of { job: id.as_str(), kind: &kind, since: job.since, now: standing.now };
    answer(WhyBody::new(&of, &holds, estimate, &state.shown))
}

/// The answer about an event whose job is not enqueued yet.
async fn not_enqueued(state: &Shared, id: &JobId, accepted_at: i64) -> Result<Json<WhyBody>, Problem> {
    let intake = state.depths.borrow().map(|depths| depths.intake);
    let hold = Hold::NotEnqueued {
        accepted_at,
        events: intake.map(|intake| u64::from(intake.messages)),
        bridges: intake.map(|intake| u64::from(intake.consumers)),
    };
    let now = state.now().await?;
    let of = Of { job: id.as_str(), kind: "", since: accepted_at, now };
    answer(WhyBody::new(&of, &[hold], Estimate::default(), &state.shown))
}

fn answer(body: Option<WhyBody>) -> Result<Json<WhyBody>, Problem> {
    body.map(Json).ok_or_else(|| Problem::internal("nothing holds the job"))
}

/// How many failures of the class of its last one a job survives.
async fn budget(queue: &Client, job: &Job) -> Result<Option<u32>, Error> {
    let Some(failed) = job.history.last() else { return Ok(None) };
    let stored = queue.configuration().await?.map(|stored| stored.configuration);
    Ok(stored.map(|configuration| {
        configuration.kinds.get(&job.kind).unwrap_or(&configuration.retry).budget(failed.class)
    }))
}

/// Those of these jobs that the caller sees.
async fn seen(state: &Shared, caller: &Caller, queue: &Client, ids: &[JobId]) -> Result<Vec<JobId>, Problem> {
    let jobs = state.read(|| queue.jobs(ids)).await?;
    Ok(jobs.into_iter().filter(|job| caller.sees(job)).map(|job| job.id).collect())
}
