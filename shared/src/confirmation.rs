//! A confirmation: the proof that work came out right, or that it did not, from whichever system knows.
//!
//! | module | its one thing |
//! |---|---|
//! | [`body`] | reads the body of a message, and names the place of what is wrong |
//! | [`message`] | decodes a message to the exchange `upshot.confirmations` |
//! | [`rule`] | an event type whose events are confirmations, too |
//! | [`schema`] | the JSON Schema of the body |

mod body;
mod message;
mod rule;
mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use upshot_queue::{BadCondition, Condition, MAX_SIGNAL, QueueName};

pub use message::{TYPE, decode};
pub use rule::{BadRule, Rule};
pub use schema::schema;

/// The longest id, in bytes.
const MAX_ID: usize = 1_100;
/// The longest reason and the longest fact, in bytes.
const MAX_TEXT: usize = 2_000;
/// Facts of the evidence.
const MAX_FACTS: usize = 32;
/// Names that evidence uses itself.
const OURS: [&str; 4] = ["kind", "key", "at", "href"];

/// What a confirmation says of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proved {
    /// The work came out right.
    #[default]
    Achieved,
    /// The work did not come out right.
    Missed,
}

/// A confirmation, as the API and messages have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The queue whose jobs await it.
    pub queue: String,
    /// The key that the outcome awaits, 1 to 200 bytes.
    pub key: String,
    /// The tenant of the jobs; `None` for jobs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The id of the confirmation. The same id with another body is a contradiction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it says of the work.
    #[serde(default)]
    pub outcome: Proved,
    /// Why the work did not come out right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Facts that prove it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, String>,
}

/// A confirmation that a queue can take: a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// The queue.
    pub queue: QueueName,
    /// What its jobs await.
    pub condition: Condition,
    /// The payload. The queue recognises the same payload as the same confirmation.
    pub payload: Value,
}

impl Proof {
    /// The body of a message to `upshot.confirmations` that is decoded as this proof.
    pub fn message(&self) -> String {
        let mut body = match &self.payload {
            Value::Object(members) => members.clone(),
            _ => Map::new(),
        };
        let mut add = |name: &str, text: &str| drop(body.insert(name.to_owned(), text.into()));
        add("queue", self.queue.as_str());
        add("key", self.condition.key());
        if let Some(tenant) = self.condition.tenant() {
            add("tenant", tenant);
        }
        Value::Object(body).to_string()
    }
}

/// A confirmation that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfirmation {
    /// The key or the tenant cannot be used.
    #[error(transparent)]
    Condition(#[from] BadCondition),
    /// It says that the work was missed, and not why.
    #[error("`outcome` is `missed` and there is no `reason`: say why the work did not come out right")]
    NoReason,
    /// It says why, and that the work came out right.
    #[error(
        "`reason` is given and `outcome` is not `missed`: leave `reason` out, or set `outcome` to `missed`"
    )]
    Reason,
    /// A text is too long, or empty.
    #[error("`{member}` has {bytes} bytes: use 1 to {most}")]
    Length {
        /// Which text.
        member: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest possible.
        most: usize,
    },
    /// Too many facts.
    #[error("{0} facts of `evidence`: at most {MAX_FACTS} are possible")]
    Facts(usize),
    /// A fact's name that cannot be used.
    #[error("a name in `evidence` has 1 to 64 bytes and is none of {names}", names = OURS.join(", "))]
    Name(String),
    /// A fact that is too long.
    #[error("`evidence.{name}` has {bytes} bytes: use at most {MAX_TEXT}")]
    Fact {
        /// Its name.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// More than a queue keeps.
    #[error("{0} bytes, and a queue keeps {MAX_SIGNAL} of a confirmation: shorten `evidence`")]
    Size(usize),
}

impl BadConfirmation {
    /// The JSON pointer (RFC 6901) to what is wrong.
    pub fn place(&self) -> String {
        let of_fact = |name: &str| format!("/evidence/{}", pointer(name));
        match self {
            Self::Condition(BadCondition::Tenant(_)) => "/tenant".to_owned(),
            Self::Condition(_) => "/key".to_owned(),
            Self::NoReason | Self::Reason => "/reason".to_owned(),
            Self::Length { member, .. } => format!("/{member}"),
            Self::Facts(_) => "/evidence".to_owned(),
            Self::Name(name) | Self::Fact { name, .. } => of_fact(name),
            Self::Size(_) => String::new(),
        }
    }
}

/// A name as a part of a JSON pointer (RFC 6901).
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Confirmation {
    /// What jobs await, and the payload of the signal that proves it. Two confirmations with the same
    /// members have the same payload, and a queue keeps every payload in size.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn signal(&self) -> Result<(Condition, Value), BadConfirmation> {
        let condition = Condition::new(self.tenant.as_deref(), &self.key)?;
        let has_reason = self.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
        match self.outcome {
            Proved::Missed if !has_reason => return Err(BadConfirmation::NoReason),
            Proved::Achieved if has_reason => return Err(BadConfirmation::Reason),
            _ => {}
        }
        for (member, text, most) in [("id", &self.id, MAX_ID), ("reason", &self.reason, MAX_TEXT)] {
            if let Some(bytes) = text.as_ref().map(String::len).filter(|bytes| !(1..=most).contains(bytes)) {
                return Err(BadConfirmation::Length { member, bytes, most });
            }
        }
        self.check_evidence()?;
        let mut payload = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                payload.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::String);
        add("id", text(&self.id));
        if self.outcome == Proved::Missed {
            add("outcome", Some(Value::String("missed".to_owned())));
            add("reason", text(&self.reason));
        }
        let facts: Map<String, Value> =
            self.evidence.iter().map(|(name, fact)| (name.clone(), Value::String(fact.clone()))).collect();
        add("evidence", (!facts.is_empty()).then_some(Value::Object(facts)));
        let payload = Value::Object(payload);
        match payload.to_string().len() {
            bytes if bytes > MAX_SIGNAL => Err(BadConfirmation::Size(bytes)),
            _ => Ok((condition, payload)),
        }
    }

    fn check_evidence(&self) -> Result<(), BadConfirmation> {
        if self.evidence.len() > MAX_FACTS {
            return Err(BadConfirmation::Facts(self.evidence.len()));
        }
        for (name, fact) in &self.evidence {
            if !(1..=64).contains(&name.len()) || OURS.contains(&name.as_str()) {
                return Err(BadConfirmation::Name(name.clone()));
            }
            if fact.len() > MAX_TEXT {
                return Err(BadConfirmation::Fact { name: name.clone(), bytes: fact.len() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn facts(count: usize, fact: &str) -> Map<String, Value> {
        (0..count).map(|n| (n.to_string(), fact.into())).collect()
    }

    fn signal(body: Value) -> Result<(Condition, Value), String> {
        let confirmation: Confirmation = from_value(body).map_err(|error| error.to_string())?;
        confirmation.signal().map_err(|error| error.to_string())
    }

    #[test]
    fn a_confirmation_is_a_signal_of_its_members() {
        let (condition, payload) = signal(json!({
            "queue": "invoices", "key": "order-1042 paid", "tenant": "acme", "id": "p-1",
            "evidence": {"bank": "x"}, "outcome": "achieved",
        }))
        .unwrap();
        assert_eq!((condition.tenant(), condition.key()), (Some("acme"), "order-1042 paid"));
        assert_eq!(payload, json!({"id": "p-1", "evidence": {"bank": "x"}}));
        let (_, payload) = signal(json!({"queue": "q", "key": "k"})).unwrap();
        assert_eq!(payload, json!({}));
        let missed = json!({"queue": "q", "key": "k", "outcome": "missed", "reason": "mailbox unknown"});
        assert_eq!(signal(missed).unwrap().1, json!({"outcome": "missed", "reason": "mailbox unknown"}));
    }

    #[test]
    fn what_cannot_be_used_is_told_why() {
        for (body, word) in [
            (json!({"key": "k"}), "queue"),
            (json!({"queue": "q", "key": ""}), "1 to 200"),
            (json!({"queue": "q", "key": "k", "outcome": "missed"}), "say why"),
            (json!({"queue": "q", "key": "k", "outcome": "missed", "reason": " "}), "say why"),
            (json!({"queue": "q", "key": "k", "reason": "x"}), "leave `reason` out"),
            (json!({"queue": "q", "key": "k", "outcome": "done"}), "`done`"),
            (json!({"queue": "q", "key": "k", "payload": 1}), "payload"),
            (json!({"queue": "q", "key": "k", "evidence": {"n": 1}}), "string"),
            (json!({"queue": "q", "key": "k", "id": ""}), "`id` has 0 bytes"),
            (json!({"queue": "q", "key": "k", "id": "x".repeat(1_101)}), "1 to 1100"),
            (json!({"queue": "q", "key": "k", "evidence": {"at": "x"}}), "none of"),
            (json!({"queue": "q", "key": "k", "evidence": {"n": "x".repeat(2_001)}}), "at most 2000"),
            (json!({"queue": "q", "key": "k", "evidence": facts(33, "x")}), "33 facts"),
            (json!({"queue": "q", "key": "k", "evidence": facts(32, &"\u{1}".repeat(2_000))}), "shorten"),
        ] {
            let said = signal(body.clone()).unwrap_err();
            assert!(said.contains(word), "{body}: `{word}` is not in: {said}");
        }
    }
}
