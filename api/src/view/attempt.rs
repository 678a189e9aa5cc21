//! Failed attempts, and what a job waits for.

use serde::Serialize;
use upshot_queue::{FailureClass, State, failure::FailedAttempt};
use utoipa::ToSchema;

use super::words::Class;
use crate::{known::Known, moment::Moment, shown::Shown};

/// The operations that make a job wait for a time without a failure.
const PUT_OFF: [&str; 4] = ["snoozed", "rescheduled", "retried", "edited"];

/// Why a job waits and until when.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Why: the message of the last failure, an operator's action, a delay, or the reason for
    /// parking.
    #[schema(example = "connection refused by mail.example:25")]
    reason: String,
    /// The class of the failure before the wait, if any.
    #[schema(required, value_type = Option<Class>)]
    class: Option<FailureClass>,
    /// When it runs again.
    #[schema(required)]
    retry_at: Option<Moment>,
}

/// An attempt that did not finish.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FailedAttempt)]
pub struct FailedAttemptBody {
    /// When it ended.
    at: Moment,
    /// Which attempt, counted from 1.
    attempt: u64,
    /// What kind of failure.
    #[schema(value_type = Class)]
    class: FailureClass,
    /// The message.
    message: String,
    /// The worker that ran it.
    #[schema(required)]
    worker: Option<String>,
}

impl Waiting {
    /// What a job waits for, if it is scheduled or parked.
    pub fn of(known: &Known, shown: &Shown) -> Option<Self> {
        if let Some(parked) = known.job.parked.as_ref().filter(|_| known.job.state == State::Parked) {
            return Some(Self { reason: shown.text(&parked.why), class: None, retry_at: None });
        }
        if known.job.state != State::Scheduled {
            return None;
        }
        let last = known.job.history.last();
        let put_off = known.job.changes.iter().rev().find(|change| PUT_OFF.contains(&change.did.as_str()));
        if let Some(change) = put_off.filter(|change| last.is_none_or(|failed| change.at >= failed.at)) {
            let note = change.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
            let reason = shown.text(&format!("{}{note}", change.did));
            return Some(Self { reason, class: None, retry_at: known.due.map(Moment) });
        }
        Some(Self {
            reason: last
                .map_or_else(|| "enqueued with a delay".to_owned(), |failed| shown.text(&failed.message)),
            class: last.map(|failed| failed.class),
            retry_at: known.due.map(Moment),
        })
    }
}

impl FailedAttemptBody {
    /// The body of an attempt.
    pub fn new(failed: &FailedAttempt, shown: &Shown) -> Self {
        Self {
            at: Moment(failed.at),
            attempt: failed.attempt,
            class: failed.class,
            message: shown.text(&failed.message),
            worker: failed.worker.clone(),
        }
    }
}
