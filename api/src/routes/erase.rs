//! `DELETE /v1/subjects/{subject}`: erases what is kept about a business key.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use serde::Serialize;
use serde_json::json;
use upshot_queue::Operator;
use utoipa::ToSchema;

use super::subjects::check;
use crate::{
    access::{Act, Caller},
    problem::{Details, Problem},
    query::Query,
    state::Shared,
};

/// What was erased.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Erasure {
    /// Jobs that had ended.
    jobs: u64,
    /// Verdicts of forgotten jobs.
    verdicts: u64,
    /// Signals that had answered these jobs.
    signals: u64,
    /// Entries about messages in quarantine. The messages themselves stay in RabbitMQ.
    quarantined: u64,
    /// Jobs that have not ended, which stay: cancel them, and erase again.
    kept: Vec<String>,
}

/// Erases what is kept about a subject.
///
/// Erases its jobs that have ended with arguments, steps and evidence, the verdicts of forgotten jobs,
/// the signals that answered these jobs, and what is listed about its messages in quarantine. Counts
/// stay. Files, sent mails, messages in RabbitMQ and receipts in `upshot.outcomes.history` are not
/// erased: the last two go by age. Sent again, it erases what is left.
#[utoipa::path(
    delete,
    path = "/v1/subjects/{subject}",
    operation_id = "erase_subject",
    extensions(("x-right" = json!("erase")), ("x-scope" = json!("installation"))),
    tag = "outcomes",
    params(("subject" = String, Path, description = "The subject, percent-encoded", example = "order-1042")),
    responses(
        (status = 200, description = "It is erased, but for the jobs in `kept`", body = Erasure),
        (status = 400, description = "The subject cannot be one", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: a part may be erased, send the same again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn erase(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(subject): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Erasure>, Problem> {
    Query::parse(raw.as_deref(), &[])?;
    check(&subject)?;
    let mut erasure = Erasure::default();
    for queue in state.queues_of(&caller) {
        let operator = Operator::new(queue.clone());
        let erased = state.ask_for_many(operator.erase(&subject)).await?;
        erasure.jobs += erased.jobs;
        erasure.verdicts += erased.rows;
        erasure.signals += erased.signals;
        erasure.kept.extend(erased.kept.iter().map(ToString::to_string));
    }
    let bounds = state.quarantine_bounds;
    erasure.quarantined = state.read_quarantine(|| state.quarantine.erase_subject(&subject, bounds)).await?;
    tracing::info!(
        jobs = erasure.jobs,
        verdicts = erasure.verdicts,
        "an operator erased what was kept about a subject"
    );
    let Erasure { jobs, verdicts, signals, quarantined, kept } = &erasure;
    act.after(json!({
        "jobs": jobs, "verdicts": verdicts, "signals": signals, "quarantined": quarantined, "kept": kept.len(),
    }));
    Ok(Json(erasure))
}
