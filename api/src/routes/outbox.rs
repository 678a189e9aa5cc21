//! `POST /v1/queues/{queue}/outbox/end`: drops a consumer group that has stopped reading.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Code, Details, Problem},
    state::Shared,
    view::QueueBody,
};

/// A group of readers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OutboxGroupName)]
pub struct Group {
    /// Its name.
    #[schema(example = "audit")]
    group: String,
}

/// Drops a consumer group of a queue's outbox.
///
/// The next sweep trims the entries that no other group needs. A reader of the group that still
/// runs gets an error. A reader that joins again starts with the oldest entry. The content type
/// `application/json` is required, so that no page of another origin can send this from a user's
/// browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/outbox/end",
    operation_id = "end_outbox_group",
    extensions(("x-right" = json!("configure")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Group, description = "The group"),
    responses(
        (status = 200, description = "Nothing is kept for it", body = QueueBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings, or it has no such group", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(Group { group }): Body<Group>,
) -> Result<Json<QueueBody>, Problem> {
    act.target("group", &group);
    let operator = state.operator_of_address(&caller, &queue)?;
    let queue = operator.client();
    if !state.ask(operator.drop_outbox_group(&group)).await? {
        let shown: String = group.chars().take(100).collect();
        let detail = format!("the outbox of queue {} has no group `{shown}`", queue.name());
        return Err(Problem::new(Code::UnknownGroup, detail));
    }
    tracing::info!(queue = %queue.name(), group, "an operator dropped an outbox group");
    Ok(Json(state.ask(QueueBody::read(queue, &state.intake, &state.shown)).await?))
}
