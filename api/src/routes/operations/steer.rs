//! `POST /v1/operations/{id}/start`, `pause`, `resume` and `abort`.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::json;
use upshot_queue::{Operator, Steer, Steered};
use utoipa::ToSchema;

use super::{create::by, find};
use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    operations::right_of,
    problem::{Code, Details, Problem},
    state::Shared,
    view::OperationBody,
};

/// The start of an operation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The number of jobs that the operation counted. `cancel` and `purge` need it; others check it
    /// where it is given.
    #[serde(default)]
    #[schema(example = 1204)]
    confirm: Option<u64>,
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
}

/// Who pauses, resumes or aborts an operation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SteerOperation)]
pub struct By {
    /// The operator, where the API asks for no authentication: whatever the caller says. Otherwise
    /// the name of the principal is kept, and this is ignored.
    #[serde(default)]
    #[schema(max_length = 200, example = "ada")]
    by: String,
}

/// Starts an operation that has counted its jobs.
///
/// It changes the jobs of its frozen selection, once: jobs that left the selection since the count stay
/// as they are. Needs the right of its act. The content type `application/json` is required, so that no
/// page of another origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/start",
    operation_id = "start_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<Start>, description = "The number of jobs, as confirmation; an empty body counts as `{}`"),
    responses(
        (status = 200, description = "It runs", body = OperationBody),
        (status = 400, description = "This cannot be an operation's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The act needs a right that the principal lacks", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for its start, or it counted another number of jobs", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn start(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(start): Body<Start>,
) -> Result<Json<OperationBody>, Problem> {
    steer(&state, &caller, &act, &links, &id, (Steer::Start, &start.by, start.confirm)).await
}

/// Pauses an operation that runs. It changes no further job until it is resumed.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/pause",
    operation_id = "pause_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<By>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is paused", body = OperationBody),
        (status = 400, description = "This cannot be an operation's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The act needs a right that the principal lacks", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It does not run", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(said): Body<By>,
) -> Result<Json<OperationBody>, Problem> {
    steer(&state, &caller, &act, &links, &id, (Steer::Pause, &said.by, None)).await
}

/// Resumes an operation that is paused, or that its stop rule stopped.
///
/// It continues where it was. The stop rule then lets as many jobs fail of the cause again.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/resume",
    operation_id = "resume_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<By>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It runs", body = OperationBody),
        (status = 400, description = "This cannot be an operation's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The act needs a right that the principal lacks", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It is not paused", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(said): Body<By>,
) -> Result<Json<OperationBody>, Problem> {
    steer(&state, &caller, &act, &links, &id, (Steer::Resume, &said.by, None)).await
}

/// Aborts an operation. It changes no further job, and what it changed stays changed.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/abort",
    operation_id = "abort_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    request_body(content = Option<By>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It is aborted", body = OperationBody),
        (status = 400, description = "This cannot be an operation's id, or the body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The act needs a right that the principal lacks", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "It is over", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn abort(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Path(id): Path<String>,
    Body(said): Body<By>,
) -> Result<Json<OperationBody>, Problem> {
    steer(&state, &caller, &act, &links, &id, (Steer::Abort, &said.by, None)).await
}

async fn steer(
    state: &Shared,
    caller: &Caller,
    act: &Act,
    links: &Links,
    id: &str,
    (steer, said, confirm): (Steer, &str, Option<u64>),
) -> Result<Json<OperationBody>, Problem> {
    let (queue, operation) = find(state, caller, id).await?;
    act.target("queue", queue.name().as_str());
    act.target("operation", operation.id.as_str());
    act.before(json!({ "state": operation.phase.as_str(), "changed": operation.changed }));
    if let Some(plan) = &operation.plan {
        act.before(json!({ "act": plan.act.as_str(), "filter": plan.selection }));
    }
    let id = &operation.id;
    // What cannot be read is aborted by a principal of everything.
    match &operation.plan {
        Some(plan) => caller.require(right_of(plan.act))?,
        None => caller.require_everything()?,
    }
    let by = by(caller, said)?;
    let operator = Operator::new(queue.clone());
    match state.ask(operator.steer_operation(id, steer, &by, confirm)).await? {
        Steered::To(_) => {}
        Steered::Counted(counted) => {
            let Some(given) = confirm else {
                let detail = format!(
                    "operation {id} counted {counted} jobs, and what it does cannot be undone: give that number as `confirm`"
                );
                return Err(Problem::new(Code::CountDiffers, detail));
            };
            let detail = format!(
                "operation {id} counted {counted} jobs, and `confirm` is {given}: look at the count again, and give \
                 that number"
            );
            return Err(Problem::new(Code::CountDiffers, detail));
        }
        Steered::Full(active) => {
            let detail = format!(
                "{active} operations of queue {} count or run, and no more may: wait for one, or abort one",
                queue.name()
            );
            return Err(Problem::new(Code::TooManyOperations, detail));
        }
        Steered::Refused(now) => {
            let allowed: Vec<&str> = steer.from().iter().map(|phase| phase.as_str()).collect();
            let detail = format!(
                "operation {id} is {now}, and only one that is {} is {}",
                allowed.join(" or "),
                steer.did()
            );
            return Err(Problem::new(Code::OperationState, detail));
        }
        Steered::Unknown => {
            let detail = format!("operation {id} was forgotten in the meantime");
            return Err(Problem::new(Code::UnknownOperation, detail));
        }
    }
    state.operations.wake();
    tracing::info!(queue = %queue.name(), operation = %id, did = steer.did(), "an operator steered an operation");
    let (_, operation) = find(state, caller, id.as_str()).await?;
    act.after(json!({ "state": operation.phase.as_str(), "changed": operation.changed }));
    Ok(Json(OperationBody::new(queue.name(), &operation, caller, links, &state.shown)))
}
