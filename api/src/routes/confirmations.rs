//! `POST /v1/confirmations`: ends the jobs whose outcome awaits this proof.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use upshot_queue::{Kept, Released, Signalled};
use upshot_shared::confirmation::{BadConfirmation, Confirmation, Proved};
use utoipa::ToSchema;

use super::signals::{SignalResult, refused};
use crate::{
    access::{Act, Caller},
    body::Body,
    problem::{Code, Details, Problem},
    state::Shared,
};

/// A confirmation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Confirmation)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The queue whose jobs await it.
    #[schema(example = "invoices")]
    queue: String,
    /// The key that the outcome awaits, 1 to 200 bytes.
    #[schema(example = "delivered mrtu2hq6wcbcvkoxmzkhxbs7da.invoice@shop.example")]
    key: String,
    /// The tenant of the jobs; null or left out for jobs without one.
    #[serde(default)]
    #[schema(example = "acme")]
    tenant: Option<String>,
    /// The id of the confirmation. The same id with another body is a contradiction.
    #[serde(default)]
    #[schema(example = "evt-81c2")]
    id: Option<String>,
    /// What it says of the work: `achieved` (if left out) or `missed`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "achieved")]
    outcome: Option<Proved>,
    /// Why the work did not come out right; only with the outcome `missed`.
    #[serde(default)]
    #[schema(example = "550 no such mailbox")]
    reason: Option<String>,
    /// Facts that prove it. They become evidence of the outcome.
    #[serde(default)]
    #[schema(example = json!({"receipt": "r-17"}))]
    evidence: Option<BTreeMap<String, String>>,
}

/// What became of a confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Confirmed {
    /// The result: `contradicts` if a confirmation with the other verdict, or with the same id and another
    /// body, was there. The first one stays then, and no job changes.
    result: SignalResult,
    /// Jobs that it ended, or let continue.
    jobs: u64,
    /// Jobs that follow in the background; `releasing` of the queue shows the progress.
    left: u64,
}

/// Confirms the outcomes that await this key, or says that the work did not come out right.
///
/// Each job whose outcome awaits the key ends at once, and no handler runs: it has succeeded with the
/// confirmation as further evidence, or it is dead with the class `refuted`. The queue keeps the
/// confirmation for `keep_signals`, so an outcome that awaits the key later has it at once. A job that is
/// dead because no confirmation came in time is healed. Sent again it changes nothing.
#[utoipa::path(
    post,
    path = "/v1/confirmations",
    operation_id = "confirm",
    extensions(("x-right" = json!("signal"))),
    tag = "outcomes",
    request_body(content = Confirm, description = "The confirmation"),
    responses(
        (status = 200, description = "It is kept, and so many jobs ended or continue", body = Confirmed),
        (status = 202, description = "It is kept, so many jobs ended or continue, and more follow in the background", body = Confirmed),
        (status = 400, description = "The body cannot be used, or names a condition of the queue itself", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The confirmation is larger than 64 KiB", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: send the same again", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "The queue keeps as many bytes of signals as it may: send the same again later", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn confirm(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Body(said): Body<Confirm>,
) -> Result<(StatusCode, Json<Confirmed>), Problem> {
    let Confirm { queue, key, tenant, id, outcome, reason, evidence } = said;
    let confirmation = Confirmation {
        queue,
        key,
        tenant,
        id,
        outcome: outcome.unwrap_or_default(),
        reason,
        evidence: evidence.unwrap_or_default(),
    };
    let queue = state.queue_of_address(&caller, &confirmation.queue)?;
    let (condition, payload) = confirmation.signal().map_err(|why| unusable(&confirmation, why))?;
    caller.require_tenant(condition.tenant())?;
    let Signalled { kept, released } = state.ask(queue.confirm(&condition, &payload)).await?;
    let Released { released: jobs, left } = released;
    let result = match kept {
        Kept::Stored => SignalResult::Stored,
        Kept::Known => SignalResult::Known,
        Kept::Contradicts { .. } => SignalResult::Contradicts,
    };
    act.after(json!({ "result": &result, "jobs": jobs, "left": left }));
    let logged = state.shown.text(condition.key());
    tracing::info!(queue = %queue.name(), key = logged, ?result, jobs, left, "confirmed");
    Ok((state.go_on_releasing(queue, left), Json(Confirmed { result, jobs, left })))
}

fn unusable(confirmation: &Confirmation, why: BadConfirmation) -> Problem {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match &why {
        BadConfirmation::Condition(why) => {
            refused(confirmation.tenant.as_deref(), &confirmation.key, why.clone())
        }
        BadConfirmation::NoReason => Problem::parameter("outcome", "missed", why),
        BadConfirmation::Reason => Problem::parameter("reason", &text(&confirmation.reason), why),
        BadConfirmation::Length { member, .. } => {
            let given = if *member == "id" { &confirmation.id } else { &confirmation.reason };
            Problem::parameter(member, &text(given), why)
        }
        BadConfirmation::Facts(count) => Problem::parameter("evidence", &format!("{count} facts"), &why),
        BadConfirmation::Size(_) => Problem::new(Code::BodyTooLarge, why),
        BadConfirmation::Name(name) | BadConfirmation::Fact { name, .. } => {
            Problem::parameter("evidence", name, &why)
        }
    }
}
