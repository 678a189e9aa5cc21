//! `POST /v1/queues/{queue}/unpark`: releases jobs that handlers parked for a need.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use upshot_queue::{Need, Released};
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
    /// The need, by its name or as it is listed (`wait NAME`).
    #[schema(example = "breaker:smtp")]
    need: String,
}

/// The number of released jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Unparked {
    /// Jobs that are ready.
    unparked: u64,
    /// Jobs that follow in the background; `releasing` of the queue shows the progress.
    left: u64,
}

/// Releases the jobs that handlers parked for a need.
///
/// Releases all jobs that are parked for it at this moment, which may be none. A job that is parked
/// later waits for the next call. This call does not meet the queue's own needs (a handler of a
/// kind, the end of a pause). The content type `application/json` is required, so that no page of
/// another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/unpark",
    operation_id = "unpark",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Unpark, description = "The need"),
    responses(
        (status = 200, description = "How many jobs continue", body = Unparked),
        (status = 202, description = "How many jobs continue; more follow in the background", body = Unparked),
        (status = 400, description = "The body cannot be used, or names no need that this call can meet", body = Details, content_type = "application/problem+json"),
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
    let named = unpark.need.as_str();
    let need: Need = named.parse().map_err(|why| Problem::parameter("need", named, why))?;
    let Released { released: unparked, left } = state.ask(queue.meet(&need)).await?;
    tracing::info!(queue = %queue.name(), %need, unparked, left, "an operator met a need");
    Ok((state.go_on_releasing(queue, left), Json(Unparked { unparked, left })))
}
