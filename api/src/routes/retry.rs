//! `POST /v1/jobs/{id}/retry`: a dead job runs again.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use upshot_queue::Changed;

use crate::{
    links::Links,
    problem::{Code, Details, Problem},
    state::{Shared, job_id},
    view::JobBody,
};

/// Makes a dead job ready again.
///
/// It keeps its arguments, its completed steps and its history, and gets fresh
/// budgets for failures. The content type `application/json` is required, so
/// that no page of another origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/retry",
    operation_id = "retry_job",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    responses(
        (status = 202, description = "It is ready to run", body = JobBody),
        (status = 400, description = "This cannot be a job's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The job is not dead", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    State(state): State<Shared>,
    links: Links,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<JobBody>), Problem> {
    let id = job_id(&id)?;
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.starts_with("application/json") {
        let detail = format!("content type is `{media}`: send `application/json`; the body may be empty");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let known = state.find(&id).await?;
    let Some(queue) = state.queues.get(&known.job.queue) else {
        return Err(Problem::new(
            Code::UnknownJob,
            format!("its queue {} is not in the settings", known.job.queue),
        ));
    };
    match state.ask(queue.retry(&id)).await? {
        Changed::To(_) => {
            tracing::info!(job_id = %id, queue = %known.job.queue, "dead job made ready again");
            Ok((StatusCode::ACCEPTED, Json(JobBody::new(&state.find(&id).await?, &links, false))))
        }
        Changed::Refused(now) => {
            let detail = format!("job {id} is {now}: only a dead job is retried by hand");
            Err(Problem::new(Code::NotDead, detail))
        }
        Changed::Unknown | Changed::Stopping | Changed::Forgotten => {
            Err(Problem::new(Code::UnknownJob, format!("job {id} was forgotten meanwhile")))
        }
    }
}
