//! `POST /v1/jobs/{id}/priority`: gives a waiting job another priority.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use upshot_queue::Priority;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Details, Problem},
    state::Shared,
    target::Target,
    view::{JobBody, PriorityClass},
};

/// The new priority of a waiting job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prioritise {
    /// The priority.
    #[schema(value_type = PriorityClass, example = "high")]
    priority: Priority,
}

/// Gives a waiting job another priority.
///
/// The content type `application/json` is required, so that no page of another origin can send this
/// from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/priority",
    operation_id = "prioritise_job",
    extensions(("x-right" = json!("schedule"))),
    tag = "jobs",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Prioritise, description = "The priority"),
    responses(
        (status = 202, description = "It has this priority", body = JobBody),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The job runs or has ended", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn prioritise(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(Prioritise { priority }): Body<Prioritise>,
) -> Result<(StatusCode, Json<JobBody>), Problem> {
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.prioritise(&target.id, priority)).await?;
    target.check(changed, "prioritised", |now| {
        target.not_waiting(now, "only a scheduled, ready or parked job gets another priority")
    })?;
    target.accepted(&links).await
}
