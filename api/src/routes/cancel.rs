//! `POST /v1/jobs/{id}/cancel`: cancels a job.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use upshot_queue::Changed;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Code, Details, Problem},
    state::Shared,
    target::Target,
    view::JobBody,
};

/// An empty body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The result of a cancellation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cancellation {
    /// Whether it has ended.
    result: Cancelled,
    /// The job as it is now.
    job: JobBody,
}

/// Whether a cancelled job has ended.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CancellationResult)]
pub enum Cancelled {
    /// The job waited, and is cancelled.
    Cancelled,
    /// The job runs, and its handler was told to stop. It ends as cancelled unless it succeeds
    /// first.
    Stopping,
}

/// Cancels a job.
///
/// A waiting job is cancelled at once. The handler of a running job is told within a second. The
/// content type `application/json` is required, so that no page of another origin can send this
/// from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/cancel",
    operation_id = "cancel_job",
    extensions(("x-right" = json!("cancel"))),
    tag = "jobs",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<Nothing>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 202, description = "It is cancelled, or its handler was told to stop", body = Cancellation),
        (status = 400, description = "This cannot be a job's id, or there is something in the body", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The job has ended already", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<(StatusCode, Json<Cancellation>), Problem> {
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.cancel(&target.id)).await?;
    target.check(changed, "cancelled", |now| {
        let detail = format!("job {} is {now}: only a job that has not ended is cancelled", target.id);
        Problem::new(Code::AlreadyEnded, detail)
    })?;
    let result = if changed == Changed::Stopping { Cancelled::Stopping } else { Cancelled::Cancelled };
    Ok((StatusCode::ACCEPTED, Json(Cancellation { result, job: target.body(&links).await? })))
}
