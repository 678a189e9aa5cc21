//! An event type whose events are confirmations, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use upshot_queue::QueueName;

use super::{Confirmation, Proof, Proved, message::identity};
use crate::{
    event::Event,
    rejection::{Reason, Rejection},
    route::template::{Malformed, Template, Values},
};

/// The longest reason and the longest fact, in bytes. A queue takes the payload even if JSON writes
/// each byte of them as six.
const MAX_TEXT: usize = 1_000;
/// Facts that a rule may take from an event.
const MAX_FACTS: usize = 8;
/// Names that evidence uses itself.
const OURS: [&str; 5] = ["kind", "key", "at", "href", "event"];

/// The rule that each event of a type confirms what a queue's jobs wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule {
    /// The event type, such as `payment.settled.v1`.
    pub event: String,
    /// The key that the jobs wait for. The tenant is the event's.
    pub key: Template,
    /// The queue of the jobs.
    pub queue: QueueName,
    /// What the event says of the work.
    pub outcome: Proved,
    /// Why the outcome is missed.
    pub reason: Option<Template>,
    /// Facts of the event that are evidence.
    pub evidence: BTreeMap<String, Template>,
}

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule that `{event}` confirms: {why}")]
pub struct BadRule {
    /// Its event type.
    pub event: String,
    /// What is wrong with it.
    pub why: WhyBad,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyBad {
    /// A key that is no template.
    #[error("`key` {0}")]
    Key(Malformed),
    /// A reason that is no template.
    #[error("`reason` {0}")]
    Reason(Malformed),
    /// A reason of an outcome that is achieved.
    #[error("`reason` says why an outcome is missed: add `outcome = \"missed\"`, or put it into `evidence`")]
    NoMiss,
    /// A fact that is no template.
    #[error("`evidence.{name}` {malformed}")]
    Fact {
        /// Its name.
        name: String,
        /// What is wrong.
        malformed: Malformed,
    },
    /// A fact's name that cannot be used.
    #[error(
        "`evidence.{0}` cannot be used: a name has 1 to 64 bytes and is none of {names}",
        names = OURS.join(", ")
    )]
    Name(String),
    /// Too many facts.
    #[error("{0} facts of `evidence`: at most {MAX_FACTS} are possible")]
    Facts(usize),
}

impl Rule {
    /// The confirmation that an event of this type is.
    ///
    /// # Errors
    /// When the event lacks a value of the key, or the key cannot be used.
    pub(crate) fn proof(&self, event: &Event, values: &Values<'_>) -> Result<Proof, Rejection> {
        let needs = format!("the rule of `{}` takes the key `{}` from here", self.event, self.key);
        let condition = self.key.fill_key(event.tenant.as_deref(), values, &needs, "rule")?;
        let said = self.reason.as_ref().map(|reason| reason.say(values, MAX_TEXT));
        let came = || format!("{} came", self.event);
        let reason = match self.outcome {
            Proved::Achieved => None,
            // A reason of blanks says nothing.
            Proved::Missed => Some(said.filter(|said| !said.trim().is_empty()).unwrap_or_else(came)),
        };
        let fact = |(name, fact): (&String, &Template)| (name.clone(), fact.say(values, MAX_TEXT));
        let mut evidence: BTreeMap<String, String> = self.evidence.iter().map(fact).collect();
        evidence.insert("event".to_owned(), self.event.clone());
        let confirmation = Confirmation {
            queue: self.queue.to_string(),
            key: condition.key().to_owned(),
            tenant: event.tenant.clone(),
            id: Some(identity(event)),
            outcome: self.outcome,
            reason,
            evidence,
        };
        let (condition, payload) = confirmation.signal().map_err(|why| {
            Rejection::new(Reason::InvalidValue, self.key.place(), format!("{needs}, and {why}"))
        })?;
        Ok(Proof { queue: self.queue.clone(), condition, payload })
    }
}

/// The written form of a rule.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    event: String,
    key: String,
    queue: QueueName,
    #[serde(default, skip_serializing_if = "is_achieved")]
    outcome: Proved,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    evidence: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_achieved(said: &Proved) -> bool {
    *said == Proved::Achieved
}

impl TryFrom<Written> for Rule {
    type Error = BadRule;

    fn try_from(written: Written) -> Result<Self, BadRule> {
        let Written { event, key, queue, outcome, reason, evidence } = written;
        let bad = |why| BadRule { event: event.clone(), why };
        let key = key.parse().map_err(|malformed| bad(WhyBad::Key(malformed)))?;
        let reason = reason.map(|reason| reason.parse().map_err(|malformed| bad(WhyBad::Reason(malformed))));
        let reason = reason.transpose()?;
        if reason.is_some() && outcome == Proved::Achieved {
            return Err(bad(WhyBad::NoMiss));
        }
        if evidence.len() > MAX_FACTS {
            return Err(bad(WhyBad::Facts(evidence.len())));
        }
        let fact = |(name, fact): (String, String)| {
            if name.is_empty() || name.len() > 64 || OURS.contains(&name.as_str()) {
                return Err(bad(WhyBad::Name(name)));
            }
            let fact =
                fact.parse().map_err(|malformed| bad(WhyBad::Fact { name: name.clone(), malformed }))?;
            Ok((name, fact))
        };
        let evidence = evidence.into_iter().map(fact).collect::<Result<_, _>>()?;
        Ok(Self { event, key, queue, outcome, reason, evidence })
    }
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Self {
        let Rule { event, key, queue, outcome, reason, evidence } = rule;
        let text = |(name, fact): (String, Template)| (name, fact.to_string());
        Self {
            event,
            key: key.to_string(),
            queue,
            outcome,
            reason: reason.map(|reason| reason.to_string()),
            evidence: evidence.into_iter().map(text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use upshot_queue::{Condition, MAX_SIGNAL};

    use super::*;
    use crate::{confirmation::decode, event::Envelope};

    const PLAIN: &str = "event = 'paid.v1'\nkey = '{/payment/id}'\nqueue = 'invoices'\n";

    fn read(more: &str) -> Result<Rule, String> {
        toml::from_str(&format!("{PLAIN}{more}")).map_err(|error| error.to_string())
    }

    fn event(data: &Value) -> Event {
        Event {
            id: "7".into(),
            source: "/bank".into(),
            kind: "paid.v1".into(),
            subject: None,
            time: None,
            tenant: Some("acme".into()),
            idempotency_key: None,
            trace: None,
            data: Bytes::from(data.to_string()),
        }
    }

    fn proof(rule: &Rule, data: &Value) -> Result<Proof, Rejection> {
        let event = event(data);
        rule.proof(&event, &Values::of(&event))
    }

    #[test]
    fn an_event_is_the_confirmation_that_its_rule_says() {
        let made = proof(&read("").unwrap(), &json!({"payment": {"id": 12}})).unwrap();
        assert_eq!(made.condition, Condition::of_tenant("acme", "12").unwrap());
        let evidence = json!({"event": "paid.v1"});
        assert_eq!(made.payload, json!({"id": "/bank 7", "evidence": evidence}));
        let missed =
            "outcome = 'missed'\nreason = 'the bank says: {/why}'\nevidence = { amount = '{/amount}' }";
        let data = json!({"payment": {"id": 12}, "why": "no\ncover", "amount": 9.5});
        let made = proof(&read(missed).unwrap(), &data).unwrap();
        let evidence = json!({"event": "paid.v1", "amount": "9.5"});
        let expected = json!({"id": "/bank 7", "outcome": "missed", "reason": "the bank says: no\ncover",
            "evidence": evidence});
        assert_eq!(made.payload, expected);
        let made = proof(&read("outcome = 'missed'").unwrap(), &data).unwrap();
        assert_eq!(made.payload["reason"], "paid.v1 came");
    }

    #[test]
    fn an_event_without_a_usable_key_is_rejected_with_the_place() {
        let rule = read("").unwrap();
        for (data, reason) in [
            (json!({}), Reason::MissingValue),
            (json!({"payment": {"id": []}}), Reason::InvalidValue),
            (json!({"payment": {"id": "x".repeat(201)}}), Reason::InvalidValue),
            (json!({"payment": {"id": "kind a"}}), Reason::InvalidValue),
        ] {
            let rejection = proof(&rule, &data).unwrap_err();
            assert_eq!((rejection.reason, rejection.place.as_str()), (reason, "/data/payment/id"));
            assert!(rejection.detail.contains("the rule of `paid.v1`"), "{rejection}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for more in ["", "outcome = 'missed'\nreason = '{/why}'", "evidence = { amount = '{/amount}' }"] {
            let rule = read(more).unwrap();
            let printed = toml::to_string(&rule).unwrap();
            assert_eq!(toml::from_str::<Rule>(&printed), Ok(rule), "{printed}");
        }
    }

    #[test]
    fn what_cannot_be_used_names_rule_value_and_remedy() {
        for (more, words) in [
            ("reason = 'late'", ["`paid.v1`", "outcome = \"missed\""]),
            ("outcome = 'lost'", ["lost", "achieved"]),
            ("evidence = { amount = '{amount}' }", ["evidence.amount", "{/customer/id}"]),
            ("evidence = { event = 'x' }", ["evidence.event", "none of"]),
            ("tenant = 'x'", ["tenant", "evidence"]),
        ] {
            let message = read(more).unwrap_err();
            for word in words {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        }
    }

    proptest! {
        /// The bridge relies on it: what the intake takes, the queue takes, also as a message.
        #[test]
        fn a_queue_takes_every_confirmation_of_a_rule(id in "\\PC{0,220}", why in ".{0,3000}") {
            let rule = read("outcome = 'missed'\nreason = '{/why}'\nevidence = { why = '{/why}' }").unwrap();
            if let Ok(made) = proof(&rule, &json!({"payment": {"id": id}, "why": why})) {
                prop_assert!(made.payload.to_string().len() <= MAX_SIGNAL);
                let (envelope, message) = (Envelope::default(), Bytes::from(made.message()));
                let decoded = decode(&envelope, &message, 2 * MAX_SIGNAL, &["invoices".parse().unwrap()]);
                prop_assert_eq!(decoded, Ok(made));
            }
        }
    }
}
