//! The data of a receipt.

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};

use crate::outcome::{Evidence, Part};

/// The data of a receipt. Every member is there; what does not apply or is not known is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Data {
    /// The event that asked for the outcome.
    pub event: Option<Cause>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// The route that expects the outcome.
    pub route: String,
    /// The queue of the job.
    pub queue: String,
    /// The kind of job.
    pub kind: Option<String>,
    /// The job's id.
    pub job: String,
    /// The job's path in the API.
    pub job_path: String,
    /// How the outcome stands.
    pub status: &'static str,
    /// Whether it was achieved in time; `None` while that is open or does not apply.
    pub in_time: Option<bool>,
    /// By when it was expected.
    pub expected_by: Option<Time>,
    /// When the event became a job.
    pub accepted_at: Option<Time>,
    /// When it was decided.
    pub decided_at: Option<Time>,
    /// Attempts until the receipt was made.
    pub attempts: Option<u64>,
    /// For people, when it was achieved.
    pub summary: Option<String>,
    /// What can be checked.
    pub evidence: Vec<Evidence>,
    /// The parts of the outcome, if it has any.
    pub parts: Vec<Part>,
    /// Why it was missed, or why the latest attempt failed.
    pub reason: Option<Reason>,
    /// What an operator decided.
    pub decision: Option<Decision>,
    /// JSON pointers into this to what was cut.
    pub truncated: Vec<&'static str>,
}

/// The event that asked for an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why an attempt did not come out right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The class of the failure.
    pub class: String,
    /// What happened, for people.
    pub message: String,
    /// The fingerprint that failures of the same cause share.
    pub group: Option<String>,
}

/// What an operator decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Why.
    pub reason: Option<String>,
    /// The operator, as the caller said.
    pub by: Option<String>,
}

/// A time, UTC ms; written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(
    /// UTC ms.
    pub i64,
);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only a time beyond the year 262,000 cannot be written.
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}
