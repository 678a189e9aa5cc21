//! Classes of priority, and the share that keeps the lower ones from starving.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How urgent a job is among the jobs of its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before normal work.
    High,
    /// The default.
    #[default]
    Normal,
    /// When no other work waits, and a small share before that.
    Low,
}

impl Priority {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The name that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The stored number: its position in [`Self::ALL`].
    pub(crate) fn class(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Normal => 2,
            Self::Low => 3,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not a priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a priority: use critical, high, normal or low")]
pub struct UnknownPriority(pub String);

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(s: &str) -> Result<Self, UnknownPriority> {
        Self::ALL.into_iter().find(|class| class.as_str() == s).ok_or_else(|| UnknownPriority(s.to_owned()))
    }
}

/// The share of all claims, 0 to 1, that a class gets while more urgent jobs wait. The rest goes by
/// urgency alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Of high, below critical.
    pub high: f64,
    /// Of normal, below high and critical.
    pub normal: f64,
    /// Of low, below all others.
    pub low: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { high: 0.2, normal: 0.1, low: 0.05 }
    }
}

impl Shares {
    /// Whether each share is valid and together they leave a rest for the most urgent class.
    pub fn are_possible(&self) -> bool {
        let each = [self.high, self.normal, self.low];
        each.iter().all(|share| (0.0..=1.0).contains(share)) && each.iter().sum::<f64>() < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_places() {
        for (place, class) in Priority::ALL.into_iter().enumerate() {
            assert_eq!(class.class(), place);
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert!("urgent".parse::<Priority>().is_err());
    }

    #[test]
    fn shares_leave_something_for_the_most_urgent() {
        assert!(Shares::default().are_possible());
        assert!(!Shares { low: 1.0, ..Shares::default() }.are_possible());
        assert!(!Shares { low: -0.1, ..Shares::default() }.are_possible());
        assert!(!Shares { low: f64::NAN, ..Shares::default() }.are_possible());
    }
}
