//! `POST /v1/queues/{queue}/pause` and `/resume`: pauses and resumes a queue or a kind.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use upshot_queue::{Client, Released};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Details, Problem},
    state::Shared,
    view::QueueBody,
};

/// The target of a pause or a resume.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PauseTarget)]
pub struct What {
    /// One kind of jobs; left out for the whole queue.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "invoice.issue")]
    kind: Option<String>,
}

/// A queue that is paused, or a kind of its jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paused {
    #[serde(flatten)]
    queue: QueueBody,
    /// Whether a route of the settings makes jobs of the paused kind in this queue. A misspelt kind
    /// pauses nothing. Null for the whole queue.
    #[schema(required)]
    kind_known: Option<bool>,
}

/// Pauses a queue, or a kind of its jobs.
///
/// Nothing starts until the resume; running jobs continue. Jobs of a paused kind are parked when
/// their turn comes. Pausing twice is the same as pausing once. The content type `application/json`
/// is required, so that no page of another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/pause",
    operation_id = "pause_queue",
    extensions(("x-right" = json!("pause")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Option<What>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is paused", body = Paused),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(what): Body<What>,
) -> Result<Json<Paused>, Problem> {
    let operator = state.operator_of_address(&caller, &queue)?;
    let queue = operator.client();
    let mut kind_known = None;
    act.before(pauses(&state, queue, what.kind.as_deref()).await?);
    match what.kind()? {
        Some(kind) => {
            let mut routes = state.intake.all_routes();
            kind_known = Some(routes.any(|route| route.queue == *queue.name() && route.job == kind));
            state.ask(operator.pause_kind(&kind)).await?;
            tracing::info!(queue = %queue.name(), kind, "an operator paused the kind");
        }
        None => {
            state.ask(operator.pause()).await?;
            tracing::info!(queue = %queue.name(), "an operator paused the queue");
        }
    }
    act.after(json!({ "paused": true }));
    Ok(Json(Paused {
        queue: state.ask(QueueBody::read(queue, &state.intake, &state.shown)).await?,
        kind_known,
    }))
}

/// Ends a pause of a queue, or of a kind of its jobs.
///
/// The pause of the queue and the pauses of kinds are independent. The content type
/// `application/json` is required, so that no page of another origin can send this from a user's
/// browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/resume",
    operation_id = "resume_queue",
    extensions(("x-right" = json!("pause")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Option<What>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is not paused", body = QueueBody),
        (status = 202, description = "It is not paused; the parked jobs of the kind follow in the background, and `releasing` shows the progress", body = QueueBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; if the kind was resumed all the same, its workers release its jobs", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(what): Body<What>,
) -> Result<(StatusCode, Json<QueueBody>), Problem> {
    let operator = state.operator_of_address(&caller, &queue)?;
    let queue = operator.client();
    let mut left = 0;
    act.before(pauses(&state, queue, what.kind.as_deref()).await?);
    match what.kind()? {
        Some(kind) => {
            let Released { released, left: follow } = state.ask(operator.resume_kind(&kind)).await?;
            tracing::info!(queue = %queue.name(), kind, released, left = follow, "an operator resumed the kind");
            left = follow;
        }
        None => {
            state.ask(operator.resume()).await?;
            tracing::info!(queue = %queue.name(), "an operator resumed the queue");
        }
    }
    act.after(json!({ "paused": false, "left": left }));
    let status = state.go_on_releasing(queue, left);
    Ok((status, Json(state.ask(QueueBody::read(queue, &state.intake, &state.shown)).await?)))
}

/// Whether the queue, or a kind of its jobs, is paused.
async fn pauses(state: &Shared, queue: &Client, kind: Option<&str>) -> Result<Value, Problem> {
    let paused = match kind {
        Some(kind) => state.ask(queue.paused_kinds()).await?.iter().any(|paused| paused == kind),
        None => state.ask(queue.counts()).await?.paused,
    };
    Ok(json!({ "paused": paused }))
}

impl What {
    fn kind(self) -> Result<Option<String>, Problem> {
        match self.kind {
            Some(kind) if kind.is_empty() || kind.len() > 512 => {
                let remedy = "1 to 512 characters are expected; leave it out for the whole queue";
                Err(Problem::parameter("kind", &kind, remedy))
            }
            kind => Ok(kind),
        }
    }
}
