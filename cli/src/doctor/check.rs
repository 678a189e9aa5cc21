//! A check and its outcome.

use std::fmt::Display;

use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is to be done.
    Ok,
    /// It works, and needs attention.
    Warning,
    /// It does not work, or loses something.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The subject: `redis`, `rabbitmq`, `store`, `smtp`, `settings`.
    pub subject: &'static str,
    /// The aspect of the subject.
    pub check: String,
    /// The outcome.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// The remedy, if one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All checks, in order.
#[derive(Clone, Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Adds the checks of one subject.
    pub fn of(&mut self, subject: &'static str) -> Adding<'_> {
        Adding { checks: &mut self.0, subject }
    }

    /// Adds other checks.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The checks.
    pub fn all(&self) -> &[Check] {
        &self.0
    }

    /// The number of checks with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.iter().filter(|check| check.outcome == outcome).count()
    }
}

/// Adds checks of one subject.
pub struct Adding<'a> {
    checks: &'a mut Vec<Check>,
    subject: &'static str,
}

impl Adding<'_> {
    pub fn ok(&mut self, check: impl Display, seen: impl Display) {
        self.add(check, Outcome::Ok, seen, None);
    }

    pub fn warning(&mut self, check: impl Display, seen: impl Display, remedy: impl Display) {
        self.add(check, Outcome::Warning, seen, Some(remedy.to_string()));
    }

    pub fn failed(&mut self, check: impl Display, seen: impl Display, remedy: impl Display) {
        self.add(check, Outcome::Failed, seen, Some(remedy.to_string()));
    }

    fn add(&mut self, check: impl Display, outcome: Outcome, seen: impl Display, remedy: Option<String>) {
        let (check, seen) = (check.to_string(), seen.to_string());
        self.checks.push(Check { subject: self.subject, check, outcome, seen, remedy });
    }
}
