//! How an expectation ends, and the evidence for it.

mod parts;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
pub use upshot_queue::OnSilence;

pub use parts::{BadRule, Part, PartsRule, Whole};

/// A fact that can be checked afterwards: an object with its hash, a mail server's reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What kind of evidence: `object`, `mail`.
    pub kind: String,
    /// Its facts, such as `key`, `sha256`, `message_id`, `reply`.
    #[serde(flatten)]
    pub facts: BTreeMap<String, String>,
}

impl Evidence {
    /// Evidence of a kind.
    pub fn new<const N: usize>(kind: &str, facts: [(&str, String); N]) -> Self {
        Self { kind: kind.to_owned(), facts: facts.map(|(name, fact)| (name.to_owned(), fact)).into() }
    }
}

/// What a handler returns when the work came out right. An outcome needs evidence, because only
/// evidence closes an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// For people: what was achieved.
    pub summary: String,
    /// At least one, unless all parts were missed.
    evidence: Vec<Evidence>,
    /// Its parts, if it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    /// Only what a handler returns has it; the queue stores it beside the outcome.
    #[serde(skip)]
    confirm: Option<Confirm>,
}

/// The confirmation that an outcome awaits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The key of the confirmation, 1 to 200 bytes. It must name what is confirmed, such as a message id
    /// or a payment, not only the job's subject.
    pub key: String,
    /// How long the confirmation may take, counted from the end of the attempt.
    pub within: Duration,
    /// What it means when none comes.
    pub on_silence: OnSilence,
}

impl Confirm {
    /// A confirmation without which the outcome counts as missed.
    pub fn new(key: impl Into<String>, within: Duration) -> Self {
        Self { key: key.into(), within, on_silence: OnSilence::Missed }
    }

    /// The same with another meaning of silence.
    #[must_use]
    pub fn on_silence(self, on_silence: OnSilence) -> Self {
        Self { on_silence, ..self }
    }
}

impl Outcome {
    /// An outcome with its first evidence.
    pub fn achieved(summary: impl Into<String>, evidence: Evidence) -> Self {
        Self { summary: summary.into(), evidence: vec![evidence], parts: Vec::new(), confirm: None }
    }

    /// An outcome whose work is done and whose proof is to come: a mail that a server accepted, a payment
    /// that the bank has. The job holds no slot and runs no more. A confirmation of the key for the job's
    /// tenant (`POST /v1/confirmations`, `upshot confirm`) ends it: achieved with the confirmation as
    /// further evidence, or missed if the confirmation says so. One that came before ends it at once.
    pub fn awaiting(summary: impl Into<String>, evidence: Evidence, confirm: Confirm) -> Self {
        Self { confirm: Some(confirm), ..Self::achieved(summary, evidence) }
    }

    /// An outcome in parts: each was achieved with evidence, or missed with a reason. The rule of the
    /// route (`parts`) says what they come to: the outcome is achieved, partial, or missed where no part
    /// was achieved, and then the job is dead.
    pub fn of_parts(summary: impl Into<String>, parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: Vec<Part> = parts.into_iter().collect();
        let evidence = parts.iter().filter_map(|part| {
            let mut evidence = part.evidence.clone()?;
            evidence.facts.insert("part".to_owned(), part.name.clone());
            Some(evidence)
        });
        Self { summary: summary.into(), evidence: evidence.collect(), parts, confirm: None }
    }

    /// Its parts, if it has any.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The reasons why parts were missed, for people.
    pub fn missed(&self) -> String {
        let reason = |part: &Part| Some(format!("{}: {}", part.name, part.reason.as_ref()?));
        let reasons: Vec<String> = self.parts.iter().filter_map(reason).collect();
        reasons.join("; ")
    }

    /// More evidence.
    #[must_use]
    pub fn and(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// The confirmation that it awaits, if any.
    pub fn confirm(&self) -> Option<&Confirm> {
        self.confirm.as_ref()
    }

    /// The evidence.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}
