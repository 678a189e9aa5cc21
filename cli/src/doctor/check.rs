//! A check, and how it came out.

use std::fmt::Display;

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is to be done.
    Ok,
    /// It works; somebody should look at it.
    Warning,
    /// It does not work, or loses something.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is looked at: `redis`, `rabbitmq`, `store`, `smtp`, `settings`.
    pub subject: &'static str,
    /// What about it.
    pub check: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All checks, in order.
#[derive(Clone, Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Checks of one subject are added here.
    pub fn of(&mut self, subject: &'static str) -> Adding<'_> {
        Adding { checks: &mut self.0, subject }
    }

    /// Adds those of others.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The checks.
    pub fn all(&self) -> &[Check] {
        &self.0
    }

    /// How many came out like this.
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
