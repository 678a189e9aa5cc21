//! `POST /v1/dead/retry` and `/purge`: many dead jobs at once, a bounded number a call.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use upshot_queue::{Changed, DeadCursor, DeadFilter, DeadPart, Operator};
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    body::Body,
    problem::{Details, Problem},
    state::Shared,
};

/// Jobs a call, unless it says how many.
const LIMIT: usize = 1000;
/// Jobs a call at most.
const MOST: usize = 10_000;
/// The longest pace.
const SLOWEST: Duration = Duration::from_secs(3600);

/// Which dead jobs are to run again, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryMany {
    /// The queue.
    #[schema(example = "invoices")]
    queue: String,
    /// Only of this group.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Only of this kind.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    kind: Option<String>,
    /// Only of this tenant.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    tenant: Option<String>,
    /// One each so much time, so that a dependency that has just recovered is
    /// not overrun; at most 1h. All at once if it is left out.
    #[serde(default, with = "duration")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "100ms")]
    pace: Duration,
    /// Jobs a call, 1 to 10000; 1000 if it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// Where to go on: `next` of the answer before.
    #[serde(default)]
    from: Option<String>,
}

/// Which dead jobs are to be forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeMany {
    /// The queue.
    #[schema(example = "invoices")]
    queue: String,
    /// Only of this group.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Only of this kind.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    kind: Option<String>,
    /// Only of this tenant.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 512)]
    tenant: Option<String>,
    /// Only those that died so long ago or longer; `0s` for all.
    #[serde(with = "duration")]
    #[schema(value_type = String, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "7d")]
    older_than: Duration,
    /// Jobs a call, 1 to 10000; 1000 if it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// Where to go on: `next` of the answer before.
    #[serde(default)]
    from: Option<String>,
}

/// How many run again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// Jobs that are no longer dead.
    retried: usize,
    /// What to send as `from` to go on; null when all were looked at.
    #[schema(required)]
    next: Option<String>,
}

/// How many were forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct Purged {
    /// Jobs that are gone.
    purged: usize,
    /// What to send as `from` to go on; null when all were looked at.
    #[schema(required)]
    next: Option<String>,
}

/// Makes many dead jobs run again.
///
/// The longest dead first, a bounded number a call. Calling again with `from`
/// goes on, up to what was dead at the first call; each call begins its `pace`
/// anew. Kind and tenant are looked for among a bounded number of jobs, so a
/// call may find fewer than `limit`, or none, although `next` is there. The
/// content type `application/json` is required, so that no page of another
/// origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/dead/retry",
    operation_id = "retry_dead",
    tag = "dead",
    request_body(content = RetryMany, description = "Which, and how fast"),
    responses(
        (status = 200, description = "So many run again", body = Retried),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; some may run again: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    State(state): State<Shared>,
    Body(many): Body<RetryMany>,
) -> Result<Json<Retried>, Problem> {
    let queue = state.queue_of_parameter(&many.queue)?;
    let operator = Operator::new(queue.clone());
    if many.pace > SLOWEST {
        return Err(Problem::parameter("pace", &format!("{:?}", many.pace), "use at most 1h"));
    }
    let most = most(many.limit)?;
    let from = from(many.from.as_deref())?;
    let filter = filter(many.group, many.kind, many.tenant)?;
    // What dies again while somebody goes on is not retried once more.
    let until = state.now().await?;
    let (done, next) = state
        .ask_for_many(async {
            let DeadPart { ids, next } = queue.dead_part(&filter, Some(until), from, most).await?;
            Ok((operator.retry_paced(&ids, many.pace).await?, next))
        })
        .await?;
    let retried = done.iter().filter(|changed| matches!(changed, Changed::To(_))).count();
    tracing::info!(queue = %queue.name(), ?filter, pace = ?many.pace, retried, "dead jobs retried by hand");
    Ok(Json(Retried { retried, next: next.map(|next| next.to_string()) }))
}

/// Forgets many dead jobs.
///
/// The longest dead first, a bounded number a call; as with retrying, `from`
/// goes on. Their events are no longer recognised: one that comes again is a
/// new job. The content type `application/json` is required, so that no page of
/// another origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/dead/purge",
    operation_id = "purge_dead",
    tag = "dead",
    request_body(content = PurgeMany, description = "Which"),
    responses(
        (status = 200, description = "So many are gone", body = Purged),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer; some may be gone: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn purge(
    State(state): State<Shared>,
    Body(many): Body<PurgeMany>,
) -> Result<Json<Purged>, Problem> {
    let queue = state.queue_of_parameter(&many.queue)?;
    let operator = Operator::new(queue.clone());
    let most = most(many.limit)?;
    let from = from(many.from.as_deref())?;
    let filter = filter(many.group, many.kind, many.tenant)?;
    let age = i64::try_from(many.older_than.as_millis()).unwrap_or(i64::MAX);
    let until = state.now().await?.saturating_sub(age);
    let (done, next) = state
        .ask_for_many(async {
            let DeadPart { ids, next } = queue.dead_part(&filter, Some(until), from, most).await?;
            Ok((operator.forget(&ids, many.older_than).await?, next))
        })
        .await?;
    let purged = done.iter().filter(|changed| **changed == Changed::Forgotten).count();
    tracing::info!(queue = %queue.name(), ?filter, older_than = ?many.older_than, purged, "dead jobs forgotten by hand");
    Ok(Json(Purged { purged, next: next.map(|next| next.to_string()) }))
}

fn most(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(LIMIT);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::parameter("limit", &limit.to_string(), format!("1 to {MOST} is expected")))
}

fn from(text: Option<&str>) -> Result<Option<DeadCursor>, Problem> {
    let read = |text: &str| text.parse().map_err(|why| Problem::parameter("from", text, why));
    text.map(read).transpose()
}

/// The filter; a misspelt one must not mean everything.
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
