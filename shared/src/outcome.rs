//! How an expectation ends, and the evidence for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// At least one.
    evidence: Vec<Evidence>,
}

impl Outcome {
    /// An outcome with its first evidence.
    pub fn achieved(summary: impl Into<String>, evidence: Evidence) -> Self {
        Self { summary: summary.into(), evidence: vec![evidence] }
    }

    /// More evidence.
    #[must_use]
    pub fn and(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// The evidence.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}
