//! `PUT /v1/queues/{queue}/limits`: sets a limit or a weight, in all processes at once.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::json;
use upshot_queue::{Limit, LimitKey};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Details, Problem},
    state::Shared,
    view::QueueBody,
};

/// The longest key, in bytes.
const LONGEST: usize = 520;

/// A complete limit. A field that is null or left out does not limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLimit {
    /// What is limited: `queue`, `tenant:NAME`, or `key:NAME` for the jobs that
    /// name this limit key.
    #[schema(example = "key:smtp")]
    key: String,
    /// Jobs that run at once, in all processes; 0 holds all of them.
    #[serde(default)]
    #[schema(example = 4)]
    concurrency: Option<u32>,
    /// Jobs that start a second, on the average; 0.000001 to 1000000.
    #[serde(default)]
    rate: Option<f64>,
    /// Jobs that may start at once after a quiet time, with a rate; 1 if it is
    /// left out.
    #[serde(default)]
    burst: Option<u32>,
    /// Of a tenant: its share beside others, which have 1; 0.01 to 100.
    #[serde(default)]
    weight: Option<f64>,
}

/// Sets a limit, or a tenant's weight.
///
/// Replaces the previous limit entirely, in all processes at once. A limit with only null fields is
/// cleared. Running jobs count, and continue even if they exceed the limit.
#[utoipa::path(
    put,
    path = "/v1/queues/{queue}/limits",
    operation_id = "set_limit",
    extensions(("x-right" = json!("configure")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = SetLimit, description = "The limit"),
    responses(
        (status = 200, description = "It holds", body = QueueBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: set it again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn set(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(set): Body<SetLimit>,
) -> Result<Json<QueueBody>, Problem> {
    let operator = state.operator_of_address(&caller, &queue)?;
    let queue = operator.client();
    let SetLimit { key: name, concurrency, rate, burst, weight } = set;
    if name.len() > LONGEST {
        return Err(Problem::parameter("key", &name, "use at most 512 bytes for the name"));
    }
    let key: LimitKey = name.parse().map_err(|why| Problem::parameter("key", &name, why))?;
    let limit = Limit { concurrency, rate, burst, weight };
    // Running jobs are counted again, which takes longer for many jobs.
    state.ask_for_many(operator.set_limit(&key, limit)).await?;
    tracing::info!(queue = %queue.name(), %key, ?limit, "an operator set a limit");
    act.after(json!({ "concurrency": concurrency, "rate": rate, "burst": burst, "weight": weight }));
    Ok(Json(state.ask(QueueBody::read(queue, &state.intake, &state.shown)).await?))
}
