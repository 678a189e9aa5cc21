//! `GET /v1/alarms`: what is wrong now, by cause.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Serialize;
use upshot_ledger::alarms::{Alarm, Severity};
use utoipa::ToSchema;

use crate::{
    moment::Moment,
    problem::{Details, Problem},
    state::Shared,
};

/// What is wrong now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alarms {
    /// When an API process looked last; null before the first look.
    #[schema(required)]
    looked_at: Option<Moment>,
    /// The critical ones first, then by when they came on. Those that are not on yet come last.
    alarms: Vec<AlarmBody>,
    /// Who is told.
    webhook: Webhook,
}

/// A cause, however many jobs or events it concerns.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub struct AlarmBody {
    /// What is wrong.
    #[schema(example = "overdue")]
    alarm: &'static str,
    /// `critical` or `warning`.
    #[schema(example = "warning", pattern = "^(critical|warning)$")]
    severity: &'static str,
    /// With which queue, route, kind, group of readers or reason.
    #[schema(example = json!({"queue": "invoices", "route": "order.completed.v1:invoice.issue"}))]
    labels: BTreeMap<String, String>,
    /// For people.
    #[schema(example = "order.completed.v1:invoice.issue: 37 outcomes are overdue")]
    summary: String,
    /// What to look at, or to do.
    remedy: String,
    /// Since when the cause shows.
    since: Moment,
    /// When it last showed. An alarm is over once it has not shown for four looks.
    seen_at: Moment,
    /// Since when the alarm is on; null while its cause has not lasted for long enough.
    #[schema(required)]
    on_since: Option<Moment>,
    /// When a message about it was last made; null if there was none.
    #[schema(required)]
    told_at: Option<Moment>,
}

/// The receiver of messages about alarms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlarmWebhook)]
pub struct Webhook {
    /// Whether `alarms.webhook` is set.
    is_set: bool,
    /// Whether the receiver answered 410 and gets no more until the address changes.
    is_gone: bool,
    /// Messages that wait.
    waiting: usize,
    /// When the receiver last took one.
    #[schema(required)]
    taken_at: Option<Moment>,
    /// Why the last attempt failed; null after a success.
    #[schema(required)]
    last_failure: Option<String>,
    /// Messages that were dropped, because they could not be sent for a day or too many waited.
    dropped: u64,
}

/// Shows what is wrong now, by cause: a route, a queue, a reason, never a single job.
///
/// API processes look in turns. What is on is kept in Redis, so a restart changes nothing. While Redis
/// does not answer there is no look, and `/readyz` says so.
#[utoipa::path(
    get,
    path = "/v1/alarms",
    operation_id = "list_alarms",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("installation"))),
    tag = "outcomes",
    responses(
        (status = 200, description = "The alarms", body = Alarms),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn alarms(State(state): State<Shared>) -> Result<Json<Alarms>, Problem> {
    let found = state.read(|| state.alarms.store.read()).await?;
    let mut alarms: Vec<&Alarm> = found.alarms.values().collect();
    let order = |alarm: &&Alarm| {
        (alarm.on_since.is_none(), alarm.severity() != Severity::Critical, alarm.on_since, alarm.since)
    };
    alarms.sort_by_key(order);
    let notices = found.notices;
    Ok(Json(Alarms {
        looked_at: found.looked_at.map(Moment),
        alarms: alarms.into_iter().map(AlarmBody::from).collect(),
        webhook: Webhook {
            is_set: state.alarms.has_webhook(),
            is_gone: notices.gone.is_some(),
            waiting: notices.waiting.len(),
            taken_at: notices.taken_at.map(Moment),
            last_failure: notices.last_failure,
            dropped: notices.dropped,
        },
    }))
}

impl From<&Alarm> for AlarmBody {
    fn from(alarm: &Alarm) -> Self {
        Self {
            alarm: alarm.sort.as_str(),
            severity: alarm.severity().as_str(),
            labels: alarm.labels.clone(),
            summary: alarm.summary.clone(),
            remedy: alarm.remedy.clone(),
            since: Moment(alarm.since),
            seen_at: Moment(alarm.seen_at),
            on_since: alarm.on_since.map(Moment),
            told_at: alarm.told_at.map(Moment),
        }
    }
}
