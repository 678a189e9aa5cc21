//! Roles: named sets of rights.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::right::{Right, Rights};

/// A named set of rights, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A service that publishes, and sees the outcomes of its own events.
    Producer,
    /// A person or program that looks and changes nothing.
    Viewer,
    /// A person who changes jobs, queues and outcomes.
    Operator,
    /// Everything.
    Administrator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Producer, Self::Viewer, Self::Operator, Self::Administrator];

    /// The name in every public place.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }

    /// The rights of the role.
    pub fn rights(self) -> Rights {
        match self {
            Self::Producer => [Right::Publish, Right::SeeOwn, Right::Share].into_iter().collect(),
            Self::Viewer => [Right::SeeOwn, Right::See, Right::SeeMetrics].into_iter().collect(),
            Self::Operator => {
                let more = [
                    Right::Share,
                    Right::Retry,
                    Right::Cancel,
                    Right::Schedule,
                    Right::Pause,
                    Right::Signal,
                    Right::Waive,
                    Right::Replay,
                ];
                Self::Viewer.rights().with(more.into_iter().collect())
            }
            Self::Administrator => Rights::all(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no role: use {}", Role::ALL.map(Role::as_str).join(", "))]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NoRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
    }

    #[test]
    fn sensitive_rights_are_no_part_of_an_operators_role() {
        for right in
            [Right::SeeArguments, Right::EditArguments, Right::Purge, Right::Erase, Right::Administer]
        {
            assert!(!Role::Operator.rights().has(right), "{right}");
            assert!(Role::Administrator.rights().has(right), "{right}");
        }
        assert!(Role::Viewer.rights().is_within(Role::Operator.rights()));
    }
}
