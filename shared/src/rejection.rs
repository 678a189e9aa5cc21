//! Why an event cannot be accepted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use upshot_queue::{Conflict, JobId};

/// The reason as a stable code, for the headers of a quarantined message, for metrics, and for the
/// answer to an HTTP producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Larger than `bridge.max_event_bytes`.
    Oversize,
    /// Not JSON where JSON is expected.
    MalformedJson,
    /// Neither a structured nor a binary CloudEvent.
    NotACloudEvent,
    /// A required attribute is missing.
    MissingAttribute,
    /// An attribute has a value that it may not have.
    InvalidAttribute,
    /// No route knows the event's type.
    UnknownType,
    /// The data does not keep to the type's schema.
    ContractViolation,
    /// A route fills in a value that the event does not have.
    MissingValue,
    /// A route fills in a value that cannot be part of a name.
    InvalidValue,
    /// An AMQP client cannot parse its properties.
    Unreadable,
    /// The check against the type's schema takes too long.
    ContractTimeout,
    /// A queue refuses one of its jobs.
    RefusedByQueue,
    /// An event with the same identity was accepted with other data or another tenant.
    ConflictingDuplicate,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Oversize,
        Self::MalformedJson,
        Self::NotACloudEvent,
        Self::MissingAttribute,
        Self::InvalidAttribute,
        Self::UnknownType,
        Self::ContractViolation,
        Self::MissingValue,
        Self::InvalidValue,
        Self::Unreadable,
        Self::ContractTimeout,
        Self::RefusedByQueue,
        Self::ConflictingDuplicate,
    ];

    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::MalformedJson => "malformed_json",
            Self::NotACloudEvent => "not_a_cloud_event",
            Self::MissingAttribute => "missing_attribute",
            Self::InvalidAttribute => "invalid_attribute",
            Self::UnknownType => "unknown_type",
            Self::ContractViolation => "contract_violation",
            Self::MissingValue => "missing_value",
            Self::InvalidValue => "invalid_value",
            Self::Unreadable => "unreadable",
            Self::ContractTimeout => "contract_timeout",
            Self::RefusedByQueue => "refused_by_queue",
            Self::ConflictingDuplicate => "conflicting_duplicate",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not the code of a reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a reason; the reasons are {}", Reason::ALL.map(Reason::as_str).join(", "))]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code).ok_or(UnknownReason)
    }
}

/// Why an event cannot be accepted, and where exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at `{place}`: {detail}")]
pub struct Rejection {
    /// What is wrong.
    pub reason: Reason,
    /// Where: a JSON pointer into the event (`/data/lines/0/quantity`); empty
    /// for the message as a whole.
    pub place: String,
    /// For people: the value and the remedy.
    pub detail: String,
}

/// At most 1,000 bytes, because names and values come from the producer and travel in the headers
/// of a message.
fn shorten(mut text: String) -> String {
    const MOST: usize = 1_000;
    if text.len() > MOST {
        let mut end = MOST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Rejection {
    /// A rejection.
    pub fn new(reason: Reason, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason, place: shorten(place.into()), detail: shorten(detail.into()) }
    }
}

/// The rejection of an event with the identity of another one, from which the job `id` came.
pub fn conflicting(id: &JobId, conflict: Conflict) -> Rejection {
    let (place, what) = match conflict {
        Conflict::Tenant => ("/tenant", "for another tenant".to_owned()),
        Conflict::Data { state } => ("/data", format!("with other data, and its job {id} is {state}")),
    };
    let detail = format!(
        "an event of the same source and id (or idempotencykey) was accepted {what}: publish a change as an \
         event of its own, under another id"
    );
    Rejection::new(Reason::ConflictingDuplicate, place, detail)
}
