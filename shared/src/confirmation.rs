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
use upshot_queue::{BadCondition, Condition, QueueName};

pub use message::{TYPE, decode};
pub use rule::{BadRule, Rule};
pub use schema::schema;

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
}

impl Confirmation {
    /// What jobs await, and the payload of the signal that proves it. Two confirmations with the same
    /// members have the same payload.
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
        Ok((condition, Value::Object(payload)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

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
        ] {
            let said = signal(body.clone()).unwrap_err();
            assert!(said.contains(word), "{body}: `{word}` is not in: {said}");
        }
    }
}
