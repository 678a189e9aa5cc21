//! `POST /v1/queues/{queue}/unpark`: a condition is met that handlers parked jobs for.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use upshot_queue::{Condition, Released};
use utoipa::ToSchema;

use crate::{
    body::Body,
    problem::{Details, Problem},
    state::Shared,
};

/// The need to meet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unpark {
    /// The condition, by its name or as it is listed (`wait NAME`).
    #[schema(example = "breaker:smtp")]
    condition: String,
}

/// The number of released jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Unparked {
    /// Jobs that are ready.
    unparked: u64,
    /// Jobs that follow in the background; `releasing` of the queue shows the progress.
    left: u64,
}

/// Lets the jobs go on that their handlers parked for a condition.
///
/// All that are parked for it now, which may be none: a job that is parked for
/// it later waits for the next time. The queue's own conditions (a handler of a kind,
/// the end of a pause) are not met by hand. The content type `application/json`
/// is required, so that no page of another origin can send this from somebody's
/// browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/unpark",
    operation_id = "unpark",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Unpark, description = "The condition"),
    responses(
        (status = 200, description = "How many jobs continue", body = Unparked),
        (status = 202, description = "How many jobs continue; more follow in the background", body = Unparked),
        (status = 400, description = "The body cannot be used, or names no condition that is met by hand", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn unpark(
    State(state): State<Shared>,
    Path(queue): Path<String>,
    Body(unpark): Body<Unpark>,
) -> Result<(StatusCode, Json<Unparked>), Problem> {
    let queue = state.queue_of_address(&queue)?;
    let named = unpark.condition.as_str();
    let condition: Condition = named.parse().map_err(|why| Problem::parameter("condition", named, why))?;
    let Released { released: unparked, left } = state.ask(queue.unpark(&condition)).await?;
    tracing::info!(queue = %queue.name(), %condition, unparked, left, "condition met by hand");
    Ok((state.go_on_releasing(queue, left), Json(Unparked { unparked, left })))
}
