//! `POST /v1/queues/{queue}/pause` and `/resume`: nothing starts, and starts again.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    body::Body,
    problem::{Details, Problem},
    state::Shared,
    view::QueueBody,
};

/// What is paused or resumed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PauseTarget)]
pub struct What {
    /// One kind of jobs; left out for the whole queue.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, example = "invoice.issue")]
    kind: Option<String>,
}

/// Pauses a queue, or a kind of its jobs.
///
/// Nothing starts until it is resumed; what runs goes on. Jobs of a paused kind
/// are parked when their turn comes. Pausing twice is the same as once. The
/// content type `application/json` is required, so that no page of another
/// origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/pause",
    operation_id = "pause_queue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Option<What>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is paused", body = QueueBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(state): State<Shared>,
    Path(queue): Path<String>,
    Body(what): Body<What>,
) -> Result<Json<QueueBody>, Problem> {
    let queue = state.queue_of_address(&queue)?;
    match what.kind()? {
        Some(kind) => {
            state.ask(queue.pause_kind(&kind)).await?;
            tracing::info!(queue = %queue.name(), kind, "paused by hand");
        }
        None => {
            state.ask(queue.pause()).await?;
            tracing::info!(queue = %queue.name(), "paused by hand");
        }
    }
    Ok(Json(state.ask(QueueBody::read(queue)).await?))
}

/// Ends a pause of a queue, or of a kind of its jobs.
///
/// The pause of the queue and those of kinds are apart: each is ended on its
/// own. The content type `application/json` is required, so that no page of
/// another origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/resume",
    operation_id = "resume_queue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Option<What>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is not paused", body = QueueBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; a kind may be resumed in part, its workers go on with it", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(state): State<Shared>,
    Path(queue): Path<String>,
    Body(what): Body<What>,
) -> Result<Json<QueueBody>, Problem> {
    let queue = state.queue_of_address(&queue)?;
    match what.kind()? {
        Some(kind) => {
            let released = state.ask_for_many(queue.resume_kind(&kind)).await?;
            tracing::info!(queue = %queue.name(), kind, released, "resumed by hand");
        }
        None => {
            state.ask(queue.resume()).await?;
            tracing::info!(queue = %queue.name(), "resumed by hand");
        }
    }
    Ok(Json(state.ask(QueueBody::read(queue)).await?))
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
