//! `POST /v1/queues/{queue}/unpark`: releases jobs that handlers parked for a condition.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use upshot_queue::{Condition, Released};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Details, Problem},
    state::Shared,
};

/// The condition of the jobs to release.
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

/// Releases the jobs that handlers parked for a condition.
///
/// Releases all jobs that are parked for it at this moment, which may be none. A job that is parked
/// later waits for the next call; a signal is kept for it. This call cannot meet the queue's own
/// conditions (a handler of a kind, the end of a pause). The content type `application/json` is
/// required, so that no page of another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/unpark",
    operation_id = "unpark",
    extensions(("x-right" = json!("pause")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Unpark, description = "The condition"),
    responses(
        (status = 200, description = "How many jobs continue", body = Unparked),
        (status = 202, description = "How many jobs continue; more follow in the background", body = Unparked),
        (status = 400, description = "The body cannot be used, or names a condition that this call cannot meet", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn unpark(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(unpark): Body<Unpark>,
) -> Result<(StatusCode, Json<Unparked>), Problem> {
    let queue = state.queue_of_address(&caller, &queue)?;
    let named = unpark.condition.as_str();
    let condition: Condition = named.parse().map_err(|why| Problem::parameter("condition", named, why))?;
    let Released { released: unparked, left } = state.ask(queue.unpark(&condition)).await?;
    act.after(json!({ "unparked": unparked, "left": left }));
    let condition = state.shown.text(named);
    tracing::info!(queue = %queue.name(), condition, unparked, left, "an operator released the jobs of a condition");
    Ok((state.go_on_releasing(queue, left), Json(Unparked { unparked, left })))
}
