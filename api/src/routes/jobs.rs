//! `GET /v1/jobs/{id}`: everything that is known about one job.

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};

use crate::{
    accepted::{ACCEPTED, AcceptedAt, NotYet, answer},
    access::Caller,
    links::Links,
    problem::{Details, Problem},
    query::Query,
    reveal::{REVEAL, Reveal},
    state::{Shared, job_id},
    view::JobBody,
};

/// Shows a job.
///
/// The arguments are left out unless requested. Personal data in them and in texts is hidden, unless
/// `reveal` is `true`: the values that `redact.paths` names, and mail addresses. If the job is
/// a duplicate under the idempotency key of its route, the answer is the job that stands for it, as
/// its `id` shows. The link of a 202 carries the parameter `accepted`: for an hour it answers 202
/// while the job is not enqueued yet.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    operation_id = "show_job",
    extensions(("x-right" = json!("see-own"))),
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("args" = Option<bool>, Query, description = "`true` for the arguments too"),
        ("reveal" = Option<bool>, Query, description = "`true` for the personal data that is hidden otherwise"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
    ),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = 202, description = "The event is accepted, the job not enqueued yet", body = NotYet,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 400, description = "This cannot be a job's id, or a parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (yet, or any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn job(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &["args", REVEAL, ACCEPTED])?;
    let (with_args, shown) = (query.flag("args")?, state.shown.with(Reveal::of(&query, &caller)?));
    let found = state.find_or_accepted(&caller, &job_id(&id)?, AcceptedAt::of(&query)?).await?;
    Ok(answer(found.map(|known| JobBody::new(&known, &links, &shown, with_args))))
}
