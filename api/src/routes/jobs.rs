//! `GET /v1/jobs/{id}`: everything that is known about one job.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};

use crate::{
    links::Links,
    problem::{Details, Problem},
    query::Query,
    state::{Shared, job_id},
    view::JobBody,
};

/// Shows a job.
///
/// Its arguments are left out unless they are asked for: they may hold
/// personal data. For a job that was found to be a duplicate under the idempotency
/// key of its route, this is the job that stands for it, as its `id` says.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    operation_id = "show_job",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("args" = Option<bool>, Query, description = "`true` for the arguments too"),
    ),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = 400, description = "This cannot be a job's id, or a parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (yet, or any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn job(
    State(state): State<Shared>,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<JobBody>, Problem> {
    let query = Query::parse(raw.as_deref(), &["args"])?;
    let with_args = match query.text("args") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Problem::parameter("args", other, "`true` or `false` is expected")),
    };
    let known = state.find_or_original(&job_id(&id)?).await?;
    Ok(Json(JobBody::new(&known, &links, with_args)))
}
