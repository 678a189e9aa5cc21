//! `POST /v1/jobs/{id}/reschedule`: moves a waiting job to another time.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    problem::{Details, Problem},
    state::Shared,
    target::Target,
    view::JobBody,
};

/// The longest delay.
const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The new time of a waiting job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reschedule {
    /// How long from now; `0s` for at once. At most 3650 days.
    #[serde(with = "duration")]
    #[schema(value_type = String, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "30s")]
    delay: Duration,
}

/// Moves a waiting job to another time.
///
/// Only a scheduled or ready job waits for a time. The content type `application/json` is required,
/// so that no page of another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/reschedule",
    operation_id = "reschedule_job",
    extensions(("x-right" = json!("schedule"))),
    tag = "jobs",
    params(("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Reschedule, description = "When it is to run"),
    responses(
        (status = 202, description = "It is ready, or scheduled for that time", body = JobBody),
        (status = 400, description = "This cannot be a job's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "The job does not wait for a time", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn reschedule(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(Reschedule { delay }): Body<Reschedule>,
) -> Result<(StatusCode, Json<JobBody>), Problem> {
    if delay > MOST {
        return Err(Problem::parameter("delay", &format!("{delay:?}"), "use at most 3650d"));
    }
    let target = Target::find(&state, &caller, &act, &id).await?;
    let changed = state.ask(target.queue.reschedule(&target.id, delay)).await?;
    target.check(changed, "rescheduled", |now| {
        let remedy = match now {
            upshot_queue::State::Parked => "it continues when its condition is fulfilled, at any time",
            upshot_queue::State::Dead => "retry it; only a scheduled or ready job is rescheduled",
            _ => "only a scheduled or ready job is rescheduled",
        };
        target.not_waiting(now, remedy)
    })?;
    target.accepted(&links).await
}
