//! `/v1/queues/{queue}/signals`: sends, lists and withdraws signals, which fulfil the conditions that jobs
//! wait for.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use upshot_queue::{BadCondition, Condition, Kept, Released, Signal, Signalled};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    moment::Moment,
    problem::{Details, Problem},
    query::Query,
    shown::Shown,
    state::Shared,
};

const PARAMETERS: [&str; 4] = ["key", "tenant", "cursor", "limit"];
/// Signals on a page by default, and at most.
const LIMIT: usize = 100;

/// A signal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// What the jobs wait for, 1 to 200 bytes.
    #[schema(example = "order-1042 confirmed")]
    key: String,
    /// The tenant; null or left out for conditions without a tenant.
    #[serde(default)]
    #[schema(example = "acme")]
    tenant: Option<String>,
    /// The payload for the jobs: any JSON value of at most 64 KiB; null if left out.
    #[serde(default)]
    payload: Value,
}

/// What became of a signal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalResult {
    /// The signal was stored.
    Stored,
    /// A signal with the same payload was there.
    Known,
    /// A signal with another payload was there and stays. This signal is recorded as a
    /// contradiction.
    Contradicts,
}

/// The result of a signal, and the jobs that waited for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sent {
    /// The result of the signal.
    result: SignalResult,
    /// The stored payload, from the first signal.
    payload: Value,
    /// Jobs that waited for it, and are ready.
    released: u64,
    /// Jobs that follow in the background; `releasing` of the queue shows the progress.
    left: u64,
}

/// A signal that is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signal)]
pub struct SignalBody {
    /// What it meets. Mail addresses in the key and in payloads are shortened.
    #[schema(example = "order-1042 confirmed")]
    key: String,
    /// The tenant; null for a condition without a tenant.
    #[schema(required)]
    tenant: Option<String>,
    /// The payload.
    payload: Value,
    /// When it came.
    at: Moment,
    /// How many signals with another payload came later.
    contradictions: u64,
    /// The newest of these; null where there is none.
    #[schema(required)]
    other: Option<OtherBody>,
}

/// A signal that contradicts the kept one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OtherSignal)]
pub struct OtherBody {
    /// Its payload.
    payload: Value,
    /// When it came.
    at: Moment,
}

/// A page of signals, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalPage {
    /// The signals.
    signals: Vec<SignalBody>,
    /// What to pass as `cursor` for the next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
}

impl SignalBody {
    fn new(signal: Signal, shown: &Shown) -> Self {
        let Signal { condition, payload, at, contradictions, other } = signal;
        Self {
            key: shown.text(condition.key()),
            tenant: condition.tenant().map(str::to_owned),
            payload: shown.value(&payload),
            at: Moment(at),
            contradictions,
            other: other.map(|(payload, at)| OtherBody { payload: shown.value(&payload), at: Moment(at) }),
        }
    }
}

/// Sends a signal: lets the jobs continue that wait for it, now or later.
///
/// The queue keeps the signal for `keep_signals`, so that a job which waits later finds it. Sent
/// again it changes nothing. The first payload stays; a different one is recorded as a
/// contradiction and changes no job. The content type `application/json` is required, so that no
/// page of another origin can send this from somebody's browser.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/signals",
    operation_id = "send_signal",
    extensions(("x-right" = json!("signal"))),
    tag = "queues",
    params(("queue" = String, Path, description = "The queue", example = "invoices")),
    request_body(content = Send, description = "The signal"),
    responses(
        (status = 200, description = "It is kept, and so many jobs continue", body = Sent),
        (status = 202, description = "It is kept, so many jobs continue, and more follow in the background", body = Sent),
        (status = 400, description = "The body cannot be used, or names a condition of the queue itself", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The payload is larger than 64 KiB", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "The queue keeps as many bytes of signals as it may: send the same again later", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn send(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    Body(send): Body<Send>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let queue = state.queue_of_address(&caller, &queue)?;
    let condition = condition(send.tenant.as_deref(), &send.key)?;
    caller.require_tenant(condition.tenant())?;
    let Signalled { kept, released } = state.ask(queue.signal(&condition, &send.payload)).await?;
    let Released { released, left } = released;
    let (result, payload) = match kept {
        Kept::Stored => (SignalResult::Stored, send.payload),
        Kept::Known => (SignalResult::Known, send.payload),
        Kept::Contradicts { first } => (SignalResult::Contradicts, state.shown.value(&first)),
    };
    act.after(json!({ "result": &result, "released": released, "left": left }));
    let logged = state.shown.text(condition.key());
    tracing::info!(queue = %queue.name(), key = logged, ?result, released, left, "signal sent");
    Ok((state.go_on_releasing(queue, left), Json(Sent { result, payload, released, left })))
}

/// Lists the signals that a queue keeps.
///
/// The newest first. With `key`, the one of this key and tenant, if there is one.
#[utoipa::path(
    get,
    path = "/v1/queues/{queue}/signals",
    operation_id = "list_signals",
    extensions(("x-right" = json!("see"))),
    tag = "queues",
    params(
        ("queue" = String, Path, description = "The queue", example = "invoices"),
        ("key" = Option<String>, Query, min_length = 1, max_length = 200, description = "Only the signal of this key", example = "order-1042 confirmed"),
        ("tenant" = Option<String>, Query, description = "With `key`: whose jobs it is for; without it, a signal that is not one tenant's"),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next` of the page before"),
        ("limit" = Option<usize>, Query, description = "Signals on a page, 1 to 100; 100 if it is left out", minimum = 1, maximum = 100),
    ),
    responses(
        (status = 200, description = "A page", body = SignalPage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(queue): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<SignalPage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let queue = state.queue_of_address(&caller, &queue)?;
    let body = |signal| SignalBody::new(signal, &state.shown);
    if let Some(key) = query.text("key") {
        let condition = condition(query.name("tenant")?.as_deref(), key)?;
        caller.require_tenant(condition.tenant())?;
        let found = state.ask(queue.kept_signal(&condition)).await?;
        return Ok(Json(SignalPage { signals: found.into_iter().map(body).collect(), next: None }));
    }
    if let Some(tenant) = query.text("tenant") {
        return Err(Problem::parameter("tenant", tenant, "it goes with `key`"));
    }
    caller.require_everything()?;
    let (from, limit) = (query.value("cursor")?, query.within("limit", 1, LIMIT)?.unwrap_or(LIMIT));
    let page = state.ask(queue.kept_signals(from.as_ref(), limit)).await?;
    let signals = page.signals.into_iter().map(body).collect();
    Ok(Json(SignalPage { signals, next: page.next.map(|next| next.to_string()) }))
}

/// What became of a signal that is withdrawn.
#[derive(Debug, Serialize, ToSchema)]
pub struct Withdrawn {
    /// Whether the queue kept a signal of this key and tenant.
    withdrawn: bool,
}

/// Withdraws a signal that was sent by mistake.
///
/// The queue forgets the signal and its contradictions, so that another signal may be sent. Jobs
/// that it answered keep their answer. Sent again it changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/queues/{queue}/signals",
    operation_id = "withdraw_signal",
    extensions(("x-right" = json!("signal"))),
    tag = "queues",
    params(
        ("queue" = String, Path, description = "The queue", example = "invoices"),
        ("key" = String, Query, min_length = 1, max_length = 200, description = "The key of the signal", example = "order-1042 confirmed"),
        ("tenant" = Option<String>, Query, description = "Whose jobs it is for; without it, a signal that is not one tenant's"),
    ),
    responses(
        (status = 200, description = "The queue keeps no such signal", body = Withdrawn),
        (status = 400, description = "A parameter is missing, not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn withdraw(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(queue): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Withdrawn>, Problem> {
    let query = Query::parse(raw.as_deref(), &["key", "tenant"])?;
    let operator = state.operator_of_address(&caller, &queue)?;
    let condition = condition(query.name("tenant")?.as_deref(), query.text("key").unwrap_or_default())?;
    caller.require_tenant(condition.tenant())?;
    let withdrawn = state.ask(operator.withdraw_signal(&condition)).await?;
    act.after(json!({ "withdrawn": withdrawn }));
    let logged = state.shown.text(condition.key());
    tracing::info!(queue = %operator.client().name(), key = logged, withdrawn, "an operator withdrew a signal");
    Ok(Json(Withdrawn { withdrawn }))
}

/// The condition of a key and a tenant.
fn condition(tenant: Option<&str>, key: &str) -> Result<Condition, Problem> {
    Condition::new(tenant, key).map_err(|why| refused(tenant, key, why))
}

/// A key and a tenant that make no condition.
pub(super) fn refused(tenant: Option<&str>, key: &str, why: BadCondition) -> Problem {
    match why {
        BadCondition::Tenant(_) => Problem::parameter("tenant", tenant.unwrap_or_default(), why),
        _ => Problem::parameter("key", key, why),
    }
}
