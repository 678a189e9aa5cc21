//! `/v1/operations…`: acts on many jobs, as resources.

mod create;
mod steer;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_queue::{Client, Operation, OperationCursor, OperationId, Phase};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    state::Shared,
    view::{OperationBody, OperationState, RefusalBody},
};

pub use create::{__path_create, create};
pub use steer::{__path_abort, __path_pause, __path_resume, __path_start, abort, pause, resume, start};

const PARAMETERS: [&str; 4] = ["queue", "state", "cursor", "limit"];
/// Operations on a page by default, and at most.
const LIMIT: usize = 50;
const MOST: usize = 200;
/// Refusals that an answer has: as many as are kept.
const REFUSALS: usize = 1_000;

/// A page of operations.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationPage {
    /// The operations. A page with `next` may have fewer than `limit`, or none, because a page examines
    /// a bounded number.
    operations: Vec<OperationBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
}

/// Jobs that an operation did not change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusals {
    /// The newest 1,000, newest first.
    refusals: Vec<RefusalBody>,
    /// How many there were in all.
    count: u64,
}

/// Lists operations on many jobs.
///
/// The newest come first, of all queues together.
#[utoipa::path(
    get,
    path = "/v1/operations",
    operation_id = "list_operations",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(
        ("queue" = Option<String>, Query, description = "Only of this queue"),
        ("state" = Option<OperationState>, Query, description = "Only in this state"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Operations on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = OperationPage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<OperationPage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let phase: Option<Phase> = query.value("state")?;
    let queues: Vec<&Client> = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    let behind: Option<OperationCursor> = state.cursor(&caller, &query).await?;
    let read = || future::try_join_all(queues.iter().map(|queue| queue.operations(behind.as_ref(), limit)));
    let found = state.read(read).await?;
    let mut operations: Vec<(&Client, Operation)> = Vec::new();
    let mut more = false;
    for (queue, page) in queues.iter().zip(found) {
        more |= page.next.is_some();
        operations.extend(page.operations.into_iter().map(|operation| (*queue, operation)));
    }
    // The order of each queue: by time, then by id, newest first.
    operations.sort_by(|(_, a), (_, b)| (b.created, &b.id).cmp(&(a.created, &a.id)));
    more |= operations.len() > limit;
    operations.truncate(limit);
    let next = match operations.last().filter(|_| more) {
        Some((_, last)) => {
            let cursor = OperationCursor { created: last.created, id: last.id.clone() };
            let cursor = state.show_cursor(&caller, &cursor).await?;
            Some(links.operations(&query.next(&PARAMETERS, &cursor)))
        }
        None => None,
    };
    let operations = operations
        .into_iter()
        .filter(|(_, operation)| {
            phase.is_none_or(|phase| operation.phase == phase) && sees(&caller, operation)
        })
        .map(|(queue, operation)| OperationBody::new(queue.name(), &operation, &caller, &links, &state.shown))
        .collect();
    Ok(Json(OperationPage { operations, next }))
}

/// Shows an operation on many jobs.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    operation_id = "show_operation",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    responses(
        (status = 200, description = "The operation", body = OperationBody),
        (status = 400, description = "This cannot be an operation's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
) -> Result<Json<OperationBody>, Problem> {
    let (queue, operation) = find(&state, &caller, &id).await?;
    Ok(Json(OperationBody::new(queue.name(), &operation, &caller, &links, &state.shown)))
}

/// Lists the jobs that an operation did not change, each with the reason.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/refusals",
    operation_id = "list_refusals",
    extensions(("x-right" = json!("see"))),
    tag = "operations",
    params(("id" = String, Path, description = "The operation", example = "mrtu2hq6wcbcvkoxmzkhxbs7da")),
    responses(
        (status = 200, description = "The newest 1,000", body = Refusals),
        (status = 400, description = "This cannot be an operation's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the operation (any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn refusals(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
) -> Result<Json<Refusals>, Problem> {
    let (queue, operation) = find(&state, &caller, &id).await?;
    let found = state.read(|| queue.refusals(&operation.id, 0, REFUSALS)).await?;
    let refusals = found.into_iter().map(|refusal| RefusalBody::new(refusal, &links)).collect();
    Ok(Json(Refusals { refusals, count: operation.refused }))
}

/// Whether a caller sees an operation: one of a tenant is the tenant's, any other concerns all tenants.
fn sees(caller: &Caller, operation: &Operation) -> bool {
    let tenant = operation.plan.as_ref().and_then(|plan| plan.selection.tenant.as_deref());
    caller.require_tenant(tenant).is_ok()
}

/// Finds an operation that the caller sees, in any of its queues: one read for each queue, all at once.
async fn find<'a>(
    state: &'a Shared,
    caller: &Caller,
    text: &str,
) -> Result<(&'a Client, Operation), Problem> {
    let id: OperationId = text.parse().map_err(|why| Problem::parameter("id", text, why))?;
    let queues = state.queues_of(caller);
    let found = state.read(|| future::try_join_all(queues.iter().map(|queue| queue.operation(&id)))).await?;
    let mut found = queues.into_iter().zip(found).filter_map(|(queue, found)| Some((queue, found?)));
    found.find(|(_, operation)| sees(caller, operation)).ok_or_else(|| {
        let detail =
            format!("no queue knows an operation {id}: it was forgotten after its retention, or never was");
        Problem::new(Code::UnknownOperation, detail)
    })
}
