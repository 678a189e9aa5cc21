//! An act: what a principal is about to do, and what came of it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{principal::Identity, right::Right};

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The address of the client, or of the proxy before the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the header `x-forwarded-for` says. Any client can write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// The client's name for itself (`user-agent`). Any client can write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// What a principal is about to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intent {
    /// The principal; `None` while nothing identified it.
    pub principal: Option<Identity>,
    /// Where the request comes from.
    pub origin: Origin,
    /// The right that the operation needs; `None` if it needs none.
    pub right: Option<Right>,
    /// The operation, by its id in the OpenAPI document.
    pub operation: String,
    /// What the address names: a queue, a job, a subject, a token.
    pub target: BTreeMap<String, String>,
    /// The parameters of the request.
    pub parameters: BTreeMap<String, String>,
    /// The body, without secrets, arguments and payloads.
    pub asked: Option<Value>,
    /// The reason that the principal gave.
    pub reason: Option<String>,
    /// The id of the request, as in its answer and in the log.
    pub request_id: String,
}

/// What came of an act.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The code of the problem, if the answer is one.
    pub problem: Option<String>,
    /// What was there before, as far as the operation knows.
    pub before: Option<Value>,
    /// What is there after it.
    pub after: Option<Value>,
    /// The reason, if the intent has none.
    pub reason: Option<String>,
    /// More of what the act changed.
    pub target: BTreeMap<String, String>,
    /// The principal that a login identified.
    pub principal: Option<Identity>,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Its result is not there yet.
    Pending,
    /// Nothing is known of its end: the process ended, or Redis took no result.
    Unknown,
    /// It succeeded.
    Done,
    /// It failed, and the answer says why.
    Failed,
    /// The principal may not do it, or nothing identified the principal.
    Refused,
    /// Refusals that were counted only.
    Suppressed,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Unknown, Self::Done, Self::Failed, Self::Refused, Self::Suppressed];

    /// The name in every public place.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Suppressed => "suppressed",
        }
    }

    /// What an HTTP status says.
    pub const fn of_status(status: u16) -> Self {
        match status {
            100..=399 => Self::Done,
            401 | 403 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no result: use {}", Ended::ALL.map(Ended::as_str).join(", "))]
pub struct NoResult;

impl FromStr for Ended {
    type Err = NoResult;

    fn from_str(text: &str) -> Result<Self, NoResult> {
        Self::ALL.into_iter().find(|ended| ended.as_str() == text).ok_or(NoResult)
    }
}

/// An act as an entry of the audit log has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// What identifies the act. The intent and the result of an act have the same.
    #[serde(default)]
    pub id: String,
    /// When it began, UTC ms.
    #[serde(default)]
    pub at: i64,
    /// When it ended, UTC ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// How it ended.
    pub result: Ended,
    /// The principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Identity>,
    /// Where the request came from.
    #[serde(default)]
    pub origin: Origin,
    /// The right that the operation needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Right>,
    /// The operation, by its id in the OpenAPI document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// What it was about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target: BTreeMap<String, String>,
    /// The parameters of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The body, without secrets, arguments and payloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Value>,
    /// The reason that the principal gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is there after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Of suppressed refusals: how many, from how many addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
    /// What was cut, because an entry has a largest size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
}

/// Refusals of one minute that have no entries of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// How many.
    pub refusals: u64,
    /// Of these, by address, the most first. At most ten addresses are named.
    pub addresses: BTreeMap<String, u64>,
}

impl Act {
    /// The act that an intent announces.
    pub(super) fn of(intent: Intent) -> Self {
        let Intent { principal, origin, right, operation, target, parameters, asked, reason, request_id } =
            intent;
        Self {
            id: String::new(),
            at: 0,
            ended_at: None,
            result: Ended::Pending,
            principal,
            origin,
            right,
            operation,
            target,
            parameters,
            asked: something(asked),
            reason,
            request_id,
            status: None,
            problem: None,
            before: None,
            after: None,
            suppressed: None,
            truncated: Vec::new(),
        }
    }

    /// The same act with its result.
    #[must_use]
    pub(super) fn concluded(self, conclusion: Conclusion) -> Self {
        let Conclusion { status, problem, before, after, reason, target, principal } = conclusion;
        let mut all = self.target;
        all.extend(target);
        Self {
            result: Ended::of_status(status),
            status: Some(status),
            problem,
            before: something(before),
            after: something(after),
            reason: self.reason.or(reason),
            principal: self.principal.or(principal),
            target: all,
            ..self
        }
    }

    /// Whether a text names the principal: its kind, its id, or its name.
    pub fn is_by(&self, text: &str) -> bool {
        let Some(principal) = &self.principal else { return false };
        let names = match principal {
            Identity::Local => ["local", ""],
            Identity::Token { id, name } => [id.as_str(), name.as_str()],
            Identity::Person { subject, name, .. } => [subject.as_str(), name.as_str()],
            Identity::Link { id } => [id.as_str(), ""],
            Identity::FirstAdministrator => ["first administrator", ""],
        };
        (!text.is_empty() && names.contains(&text)) || principal.to_string() == text
    }

    /// Whether a text names something that the act was about.
    pub fn is_about(&self, text: &str) -> bool {
        self.target.values().any(|value| value == text)
    }
}

/// A value that says something: null is as good as none.
fn something(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}
