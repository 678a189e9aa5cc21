//! Outcomes that await their proof: what silence means, and the proof as evidence.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Answer, Job, condition::Condition, state::State, truncate::truncate};
use crate::policy::fingerprint::normalise;

/// What it means when no confirmation comes in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSilence {
    /// The work counts as missed: the job is dead. A confirmation that comes later heals it.
    #[default]
    Missed,
    /// The work counts as achieved.
    Achieved,
    /// The handler runs again. [`Lease::answer`](crate::Lease::answer) tells it that no confirmation
    /// came.
    Retry,
}

impl OnSilence {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Missed, Self::Achieved, Self::Retry];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Achieved => "achieved",
            Self::Retry => "retry",
        }
    }

    /// Its stored name.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Missed => 'm',
            Self::Achieved => 'a',
            Self::Retry => 'r',
        }
    }
}

/// What a job awaits, or awaited until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaiting {
    /// The condition, in stored form.
    pub condition: String,
    /// Since when, UTC ms.
    pub since: i64,
    /// What silence means.
    pub on_silence: OnSilence,
}

impl Awaiting {
    /// Reads the stored form; see `include/await.lua`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '|');
        let letter = parts.next()?;
        let on_silence = OnSilence::ALL.into_iter().find(|each| letter == each.letter().to_string())?;
        let since = parts.next()?.parse().ok()?;
        parts.next()?;
        Some(Self { condition: parts.next()?.to_owned(), since, on_silence })
    }

    /// The key that confirms the outcome.
    pub fn key(&self) -> String {
        key_of(&self.condition)
    }
}

impl Job {
    /// What the job awaits, if its work is done and its proof is to come.
    pub fn awaiting(&self) -> Option<&Awaiting> {
        self.awaits.as_ref().filter(|_| self.state == State::Parked)
    }

    /// Adds the proof that ended the job to the outcome of its handler, as the last member of its list
    /// `evidence`. An outcome without such a list stays as it is.
    pub(super) fn add_proof(&mut self) {
        let (Some(awaits), State::Succeeded) = (&self.awaits, self.state) else { return };
        let (Some(answer), Some(outcome)) = (self.answers.get(&awaits.condition), &mut self.outcome) else {
            return;
        };
        if let Some(evidence) = outcome.get_mut("evidence").and_then(Value::as_array_mut) {
            evidence.push(proof(&awaits.condition, answer));
        }
    }
}

/// The evidence of an answer. Facts are texts.
fn proof(condition: &str, Answer { at, payload }: &Answer) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut facts = Map::new();
    match payload {
        Some(Value::Object(members)) => {
            let own = |name: &str| matches!(name, "kind" | "key" | "at" | "href");
            let stated = members.get("evidence").and_then(Value::as_object);
            let others = members.iter().filter(|(name, _)| !matches!(name.as_str(), "outcome" | "reason"));
            let others = others.filter(|(name, _)| stated.is_none() || *name != "evidence");
            for (name, value) in others.chain(stated.into_iter().flatten()) {
                if !own(name) && !value.is_null() {
                    facts.insert(name.clone(), Value::String(text(value)));
                }
            }
        }
        None | Some(Value::Null) => {}
        Some(other) => {
            facts.insert("payload".to_owned(), Value::String(text(other)));
        }
    }
    let kind = if payload.is_some() { "confirmation" } else { "silence" };
    facts.insert("kind".to_owned(), json!(kind));
    facts.insert("key".to_owned(), json!(key_of(condition)));
    facts.insert("at".to_owned(), json!(rfc3339(*at)));
    Value::Object(facts)
}

fn rfc3339(at: i64) -> String {
    let since = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string()
}

fn key_of(condition: &str) -> String {
    condition
        .parse::<Condition>()
        .map_or_else(|_| condition.to_owned(), |condition| condition.key().to_owned())
}

/// What a signal says about the work that awaits it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Why the work did not come out right, and the same normalised; empty where the signal confirms
    /// it.
    pub(crate) reason: String,
    pub(crate) normal: String,
    /// The id of the confirmation, or nothing.
    pub(crate) id: String,
}

impl Said {
    /// What a payload says: `{"outcome": "missed", "reason": …}` says that the work did not come out
    /// right. Any other payload confirms it.
    pub(crate) fn of(payload: &Value) -> Self {
        let member = |name: &str| payload.get(name).and_then(Value::as_str);
        let id = truncate(member("id").unwrap_or_default());
        if member("outcome") != Some("missed") {
            return Self { id, ..Self::default() };
        }
        let reason = member("reason").filter(|reason| !reason.trim().is_empty());
        let reason = truncate(reason.unwrap_or("the confirmation gives no reason"));
        Self { normal: normalise(&reason), reason, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let awaits = |condition: &str, since, on_silence| {
            Some(Awaiting { condition: condition.to_owned(), since, on_silence })
        };
        assert_eq!(Awaiting::read("m|17|2days|wait a b"), awaits("wait a b", 17, OnSilence::Missed));
        let of_tenant = Awaiting::read("r|1|2days 3h|tenant acme|a|b").unwrap();
        assert_eq!((of_tenant.key().as_str(), of_tenant.on_silence), ("a|b", OnSilence::Retry));
        for text in ["", "m", "x|1|2d|wait a", "m|x|2d|wait a", "m|1|2d"] {
            assert_eq!(Awaiting::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_payload_confirms_unless_it_says_otherwise() {
        for payload in
            [json!(null), json!("missed"), json!({"outcome": "achieved", "reason": "x"}), json!([1])]
        {
            assert_eq!(Said::of(&payload), Said::default(), "{payload}");
        }
        let said = Said::of(&json!({"outcome": "missed", "reason": "mailbox 17 unknown", "id": "e-1"}));
        assert_eq!((said.reason.as_str(), said.id.as_str()), ("mailbox 17 unknown", "e-1"));
        assert!(said.normal.contains("<*>"), "{said:?}");
        assert!(!Said::of(&json!({"outcome": "missed", "reason": " "})).reason.trim().is_empty());
    }

    #[test]
    fn the_proof_is_evidence() {
        let at = |payload| Answer { at: 1_000, payload };
        let payload = json!({
            "id": "e-1", "outcome": "achieved", "kind": "x", "n": 2, "none": null,
            "evidence": {"receipt": "r-17", "key": "other"},
        });
        assert_eq!(
            proof("tenant acme|order-1 paid", &at(Some(payload))),
            json!({
                "kind": "confirmation", "key": "order-1 paid", "at": "1970-01-01T00:00:01.000Z",
                "id": "e-1", "n": "2", "receipt": "r-17",
            })
        );
        assert_eq!(proof("wait a", &at(Some(json!("yes"))))["payload"], "yes");
        assert_eq!(
            proof("wait a", &at(None)),
            json!({"kind": "silence", "key": "a", "at": "1970-01-01T00:00:01.000Z"})
        );
    }
}
