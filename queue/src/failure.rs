//! Why an attempt did not finish.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What kind of failure it was. The class decides whether and when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May go away by itself: a connection refused, a 503.
    Transient,
    /// The other side asked to come back later.
    Throttled,
    /// Will fail again for the same arguments.
    Permanent,
    /// The attempt ran longer than it may.
    TimedOut,
    /// The handler panicked, or its process ended.
    Crashed,
    /// The deadline passed before it could run.
    Expired,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 6] =
        [Self::Transient, Self::Throttled, Self::Permanent, Self::TimedOut, Self::Crashed, Self::Expired];

    /// The name that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Permanent => "permanent",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt did not finish: what a handler returns as its error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What happened, for people; it must name no secret.
    pub message: String,
    /// For [`FailureClass::Throttled`]: the wait that the other side asked for.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that may go away by itself.
    pub fn transient(message: impl fmt::Display) -> Self {
        Self::new(FailureClass::Transient, message)
    }

    /// A failure that will occur again for the same arguments.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::new(FailureClass::Permanent, message)
    }

    /// The other side asked to come back after `wait`.
    pub fn throttled(message: impl fmt::Display, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(FailureClass::Throttled, message) }
    }

    /// A failure of any class.
    pub fn new(class: FailureClass, message: impl fmt::Display) -> Self {
        Self { class, message: message.to_string(), retry_after: None }
    }
}

impl FailedAttempt {
    /// A line of the history.
    pub(crate) fn line(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Not now: what a handler returns as its error to run again later without
/// having failed. The attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("snoozed for {wait:?}: {why}")]
pub struct Snooze {
    /// How long to wait.
    pub wait: Duration,
    /// For people.
    pub why: String,
}

/// The arguments cannot be read by this program: what a handler returns as its
/// error when another version of it may be able to. The job is parked until one
/// registers; the attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

/// One line of a job's history: an attempt that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// When it ended, UTC ms.
    pub at: i64,
    /// Which attempt it was, counted from 1.
    pub attempt: u64,
    /// The class.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When it began, UTC ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<i64>,
}
