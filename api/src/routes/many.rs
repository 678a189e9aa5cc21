//! `POST /v1/dead/retry` and `/purge`: retries or purges many dead jobs, a bounded number for each
//! call.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use upshot_queue::{Changed, DeadCursor, DeadFilter, DeadPart, Operator};
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Details, Problem},
    state::Shared,
};

/// Jobs for each call by default.
const LIMIT: usize = 1000;
/// Jobs for each call at most.
const MOST: usize = 10_000;
/// The longest pace.
const SLOWEST: Duration = Duration::from_secs(3600);

/// Which dead jobs to retry, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryMany {
    /// The queue.
    #[schema(example = "invoices")]
    queue: String,
    /// Only jobs of this group.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Only jobs of this kind.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    kind: Option<String>,
    /// Only jobs of this tenant.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    tenant: Option<String>,
    /// The time between two jobs, at most 1h, so that a dependency that has just recovered is not
    /// overrun. All at once if left out.
    #[serde(default, with = "duration")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "100ms")]
    pace: Duration,
    /// Jobs for each call, 1 to 10000; 1000 if left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// Where to continue: `next` of the previous answer.
    #[serde(default)]
    from: Option<String>,
}

/// Which dead jobs to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeMany {
    /// The queue.
    #[schema(example = "invoices")]
    queue: String,
    /// Only jobs of this group.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Only jobs of this kind.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    kind: Option<String>,
    /// Only jobs of this tenant.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    tenant: Option<String>,
    /// Only jobs that died at least this long ago; `0s` for all.
    #[serde(with = "duration")]
    #[schema(value_type = String, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "7d")]
    older_than: Duration,
    /// Jobs for each call, 1 to 10000; 1000 if left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// Where to continue: `next` of the previous answer.
    #[serde(default)]
    from: Option<String>,
}

/// The result of a retry.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// Jobs that run again.
    retried: usize,
    /// What to send as `from` to continue; null when all jobs were examined.
    #[schema(required)]
    next: Option<String>,
}

/// The result of a purge.
#[derive(Debug, Serialize, ToSchema)]
pub struct Purged {
    /// Jobs that were forgotten.
    purged: usize,
    /// What to send as `from` to continue; null when all jobs were examined.
    #[schema(required)]
    next: Option<String>,
}

/// Retries many dead jobs.
///
/// The longest dead come first, a bounded number for each call. A call with `from` continues, up to
/// the jobs that were dead at the first call. Each call starts its `pace` again. A call examines a
/// bounded number of jobs for kind and tenant. So an answer with `next` may have fewer jobs than
/// `limit`, or none. The content type `application/json` is required, so that no page of another
/// origin can send this from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/dead/retry",
    operation_id = "retry_dead",
    extensions(("x-right" = json!("replay"))),
    tag = "dead",
    request_body(content = RetryMany, description = "Which, and how fast"),
    responses(
        (status = 200, description = "How many jobs run again", body = Retried),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; some may run again: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Body(many): Body<RetryMany>,
) -> Result<Json<Retried>, Problem> {
    let queue = state.queue_of_parameter(&caller, &many.queue)?;
    act.target("queue", queue.name().as_str());
    let operator = Operator::new(queue.clone());
    if many.pace > SLOWEST {
        return Err(Problem::parameter("pace", &format!("{:?}", many.pace), "use at most 1h"));
    }
    let most = most(many.limit)?;
    let from = from(&state, &caller, many.from.as_deref()).await?;
    let filter = filter(many.group, many.kind, caller.tenant(many.tenant)?)?;
    // A job that dies again during the walk is not retried a second time.
    let until = state.now().await?;
    let (done, next) = state
        .ask_for_many(async {
            let DeadPart { ids, next } = queue.dead_part(&filter, Some(until), from, most).await?;
            Ok((operator.retry_paced(&ids, many.pace).await?, next))
        })
        .await?;
    let retried = done.iter().filter(|changed| matches!(changed, Changed::To(_))).count();
    tracing::info!(queue = %queue.name(), ?filter, pace = ?many.pace, retried, "an operator retried dead jobs");
    act.after(json!({ "retried": retried, "is_last": next.is_none() }));
    Ok(Json(Retried { retried, next: shown(&state, &caller, next).await? }))
}

/// Forgets many dead jobs.
///
/// The longest dead come first, a bounded number for each call. As with a retry, `from` continues.
/// The queue then no longer recognises their events: an event that comes again becomes a new job.
/// The content type `application/json` is required, so that no page of another origin can send this
/// from a user's browser.
#[utoipa::path(
    post,
    path = "/v1/dead/purge",
    operation_id = "purge_dead",
    extensions(("x-right" = json!("purge"))),
    tag = "dead",
    request_body(content = PurgeMany, description = "Which"),
    responses(
        (status = 200, description = "How many jobs were forgotten", body = Purged),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; some may be gone: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn purge(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Body(many): Body<PurgeMany>,
) -> Result<Json<Purged>, Problem> {
    let queue = state.queue_of_parameter(&caller, &many.queue)?;
    act.target("queue", queue.name().as_str());
    let operator = Operator::new(queue.clone());
    let most = most(many.limit)?;
    let from = from(&state, &caller, many.from.as_deref()).await?;
    let filter = filter(many.group, many.kind, caller.tenant(many.tenant)?)?;
    let age = i64::try_from(many.older_than.as_millis()).unwrap_or(i64::MAX);
    let until = state.now().await?.saturating_sub(age);
    let (done, next) = state
        .ask_for_many(async {
            let DeadPart { ids, next } = queue.dead_part(&filter, Some(until), from, most).await?;
            Ok((operator.forget(&ids, many.older_than).await?, next))
        })
        .await?;
    let purged = done.iter().filter(|changed| **changed == Changed::Forgotten).count();
    tracing::info!(queue = %queue.name(), ?filter, older_than = ?many.older_than, purged, "an operator purged dead jobs");
    act.after(json!({ "purged": purged, "is_last": next.is_none() }));
    Ok(Json(Purged { purged, next: shown(&state, &caller, next).await? }))
}

fn most(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(LIMIT);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::parameter("limit", &limit.to_string(), format!("1 to {MOST} is expected")))
}

async fn from(state: &Shared, caller: &Caller, given: Option<&str>) -> Result<Option<DeadCursor>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let opened = state.open_cursor(caller, "from", given).await?;
    opened.parse().map(Some).map_err(|why| Problem::parameter("from", given, why))
}

async fn shown(state: &Shared, caller: &Caller, next: Option<DeadCursor>) -> Result<Option<String>, Problem> {
    match next {
        Some(next) => state.show_cursor(caller, &next).await.map(Some),
        None => Ok(None),
    }
}

/// The filter. A misspelt filter must not select everything.
fn filter(
    group: Option<String>,
    kind: Option<String>,
    tenant: Option<String>,
) -> Result<DeadFilter, Problem> {
    for (name, value) in [("group", &group), ("kind", &kind), ("tenant", &tenant)] {
        if value.as_ref().is_some_and(|value| value.is_empty() || value.len() > 512) {
            let remedy = "1 to 512 characters are expected; leave it out for all";
            return Err(Problem::parameter(name, value.as_deref().unwrap_or_default(), remedy));
        }
    }
    if let Some(group) = group.as_ref().filter(|group| !group.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Problem::parameter("group", group, "give a `fingerprint` of `GET /v1/dead`"));
    }
    Ok(DeadFilter { group, kind, tenant })
}
