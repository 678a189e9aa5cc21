//! Rights: what a principal may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a principal may do. A right has the same name in settings, tokens, the OpenAPI document
/// (`x-right`), refusals and the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Publish events over HTTP.
    Publish,
    /// See a job, an outcome, the outcomes of an event or the story of a subject, by its name. A
    /// producer sees those of its own sources.
    SeeOwn,
    /// See lists, queues and figures.
    See,
    /// See arguments, evidence and messages without redaction.
    SeeArguments,
    /// Fetch metrics.
    SeeMetrics,
    /// Read the audit log.
    SeeAudit,
    /// Make and revoke capability links.
    Share,
    /// Run a dead or parked job again.
    Retry,
    /// Replace the arguments of a job when it runs again.
    EditArguments,
    /// Cancel a job.
    Cancel,
    /// Move a waiting job to another time, give it another priority, or run a schedule now.
    Schedule,
    /// Pause and resume queues, kinds and schedules, and release parked jobs.
    Pause,
    /// Send and withdraw signals.
    Signal,
    /// Settle an outcome with a reason, write notes, and name owners.
    Waive,
    /// Run many dead jobs again.
    Replay,
    /// Forget many dead jobs.
    Purge,
    /// Erase what is kept about a subject.
    Erase,
    /// Change limits, the configuration of queues, schedules, and groups of an outbox.
    Configure,
    /// Manage tokens, links and sessions.
    Administer,
}

impl Right {
    /// All rights, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Publish,
        Self::SeeOwn,
        Self::See,
        Self::SeeArguments,
        Self::SeeMetrics,
        Self::SeeAudit,
        Self::Share,
        Self::Retry,
        Self::EditArguments,
        Self::Cancel,
        Self::Schedule,
        Self::Pause,
        Self::Signal,
        Self::Waive,
        Self::Replay,
        Self::Purge,
        Self::Erase,
        Self::Configure,
        Self::Administer,
    ];

    /// The name in every public place.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::SeeOwn => "see-own",
            Self::See => "see",
            Self::SeeArguments => "see-arguments",
            Self::SeeMetrics => "see-metrics",
            Self::SeeAudit => "see-audit",
            Self::Share => "share",
            Self::Retry => "retry",
            Self::EditArguments => "edit-arguments",
            Self::Cancel => "cancel",
            Self::Schedule => "schedule",
            Self::Pause => "pause",
            Self::Signal => "signal",
            Self::Waive => "waive",
            Self::Replay => "replay",
            Self::Purge => "purge",
            Self::Erase => "erase",
            Self::Configure => "configure",
            Self::Administer => "administer",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no right: use {}", Right::ALL.map(Right::as_str).join(", "))]
pub struct NoRight;

impl FromStr for Right {
    type Err = NoRight;

    fn from_str(text: &str) -> Result<Self, NoRight> {
        Self::ALL.into_iter().find(|right| right.as_str() == text).ok_or(NoRight)
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u32);

impl Rights {
    /// Every right.
    pub fn all() -> Self {
        Right::ALL.into_iter().collect()
    }

    /// Whether the set has a right.
    pub const fn has(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// This set and another.
    #[must_use]
    pub const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// This set without another.
    #[must_use]
    pub const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }

    /// Whether every right of this set is in another.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The rights, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }

    const fn bit(right: Right) -> u32 {
        1 << right as u32
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | Self::bit(right)))
    }
}

impl Serialize for Rights {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Right>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = Vec<Right>> {
        prop::sample::subsequence(Right::ALL.to_vec(), 0..=Right::ALL.len())
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(right));
            assert_eq!(serde_json::to_value(right).unwrap(), right.as_str());
        }
        assert!("root".parse::<Right>().is_err_and(|why| why.to_string().contains("see-arguments")));
    }

    proptest! {
        #[test]
        fn a_set_behaves_as_a_list_of_rights(one in sets(), other in sets()) {
            let (a, b): (Rights, Rights) = (one.iter().copied().collect(), other.iter().copied().collect());
            prop_assert_eq!(&a.iter().collect::<Vec<_>>(), &one);
            for right in Right::ALL {
                prop_assert_eq!(a.with(b).has(right), one.contains(&right) || other.contains(&right));
                prop_assert_eq!(a.without(b).has(right), one.contains(&right) && !other.contains(&right));
            }
            prop_assert_eq!(a.is_within(b), one.iter().all(|right| other.contains(right)));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rights>(&json).unwrap(), a);
        }
    }
}
