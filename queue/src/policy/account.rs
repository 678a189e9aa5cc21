//! The accounts between which expectations move.
//!
//! Each transition of an expectation moves 1 from one account of its route to another, in the
//! script that makes the transition (double entry). So received = the sum of all balances.
//!
//! ```text
//! received ──▶ open ──▶ overdue ──▶ achieved (in time, late), partial, missed, cancelled, waived
//!    │          ├──────────────────▶    │                              │
//!    │          └─▶ awaiting ──▶ overdue, open again, or a verdict     │
//!    └──▶ duplicate        reopened ◀───┼── a retry after a verdict ◀──┘
//!                             └─────────▶ a verdict again
//! ```
//!
//! An expectation that is overdue, reopened or waiving stays there while it awaits its proof.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::job::state::State;

/// An account of a route. An expectation is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The source: every enqueue of a route comes from here.
    Received,
    /// The enqueue found a job.
    Duplicate,
    /// Without a verdict, and in time.
    Open,
    /// Without a verdict, and late.
    Overdue,
    /// In time, the work is done, and its proof is to come.
    Awaiting,
    /// Retried after a verdict.
    Reopened,
    /// An operator settled it, and the work continues.
    Waiving,
    /// The work came out right in time.
    AchievedInTime,
    /// The work came out right, late.
    AchievedLate,
    /// A part of the work came out right.
    Partial,
    /// The work did not come out right.
    Missed,
    /// The work was cancelled.
    Cancelled,
    /// An operator settled it, and the work has ended.
    Waived,
    /// The row of its verdict was dropped.
    Forgotten,
}

/// A text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status of an outcome: use {names}", names = Account::names())]
pub struct UnknownAccount(pub String);

impl Account {
    /// All accounts.
    pub const ALL: [Self; 14] = [
        Self::Received,
        Self::Duplicate,
        Self::Open,
        Self::Overdue,
        Self::Awaiting,
        Self::Reopened,
        Self::Waiving,
        Self::AchievedInTime,
        Self::AchievedLate,
        Self::Partial,
        Self::Missed,
        Self::Cancelled,
        Self::Waived,
        Self::Forgotten,
    ];

    /// The account of a job in this state, where none is stored; `in_time` where the job ended up to
    /// its due time.
    pub(crate) const fn of(state: State, in_time: bool) -> Self {
        match state {
            State::Scheduled | State::Ready | State::Running | State::Parked => Self::Open,
            State::Succeeded if in_time => Self::AchievedInTime,
            State::Succeeded => Self::AchievedLate,
            State::Dead => Self::Missed,
            State::Cancelled => Self::Cancelled,
        }
    }

    /// Its stored name, one letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Received => 'r',
            Self::Duplicate => 'd',
            Self::Open => 'o',
            Self::Overdue => 'v',
            Self::Awaiting => 'w',
            Self::Reopened => 'n',
            Self::Waiving => 'y',
            Self::AchievedInTime => 't',
            Self::AchievedLate => 'l',
            Self::Partial => 'p',
            Self::Missed => 'm',
            Self::Cancelled => 'c',
            Self::Waived => 'x',
            Self::Forgotten => 'z',
        }
    }

    /// The account with this stored name.
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.letter() == letter)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Duplicate => "duplicate",
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Awaiting => "awaiting",
            Self::Reopened => "reopened",
            Self::Waiving => "waiving",
            Self::AchievedInTime => "achieved_in_time",
            Self::AchievedLate => "achieved_late",
            Self::Partial => "partial",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
            Self::Waived => "waived",
            Self::Forgotten => "forgotten",
        }
    }

    /// Whether an expectation in it has a job that has not ended.
    pub const fn has_work(self) -> bool {
        matches!(self, Self::Open | Self::Overdue | Self::Awaiting | Self::Reopened | Self::Waiving)
    }

    /// Whether it is an expectation without a verdict.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Overdue | Self::Awaiting | Self::Reopened)
    }

    /// Whether it is a verdict.
    pub const fn is_verdict(self) -> bool {
        matches!(
            self,
            Self::Waiving
                | Self::AchievedInTime
                | Self::AchievedLate
                | Self::Partial
                | Self::Missed
                | Self::Cancelled
                | Self::Waived
        )
    }

    /// Whether an index lists its expectations by time. Its balance is then the size of the index.
    pub const fn is_indexed(self) -> bool {
        matches!(
            self,
            Self::Overdue
                | Self::Reopened
                | Self::Awaiting
                | Self::AchievedLate
                | Self::Partial
                | Self::Missed
                | Self::Cancelled
                | Self::Waived
        )
    }

    /// Whether an expectation may move to another account.
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::Received => matches!(to, Self::Duplicate | Self::Open),
            Self::Open => matches!(to, Self::Overdue | Self::Awaiting) || to.ends_work(),
            // Its handler may run again.
            Self::Awaiting => matches!(to, Self::Overdue | Self::Open) || to.ends_work(),
            Self::Overdue | Self::Reopened => to.ends_work(),
            Self::Waiving => to == Self::Waived,
            Self::Missed => matches!(to, Self::Reopened | Self::Waived | Self::Forgotten),
            Self::Waived => matches!(to, Self::Reopened | Self::Forgotten),
            Self::AchievedInTime | Self::AchievedLate | Self::Partial | Self::Cancelled => {
                to == Self::Forgotten
            }
            Self::Duplicate | Self::Forgotten => false,
        }
    }

    /// Whether an expectation with work may come here next.
    const fn ends_work(self) -> bool {
        matches!(
            self,
            Self::Waiving
                | Self::AchievedInTime
                | Self::AchievedLate
                | Self::Partial
                | Self::Missed
                | Self::Cancelled
        )
    }

    fn names() -> String {
        let names: Vec<&str> = Self::ALL
            .into_iter()
            .filter(|account| account.is_open() || account.is_verdict() && *account != Self::Waiving)
            .map(Self::as_str)
            .collect();
        names.join(", ")
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Account {
    type Err = UnknownAccount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|account| account.as_str() == text)
            .ok_or_else(|| UnknownAccount(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_its_own_letter_and_name() {
        for account in Account::ALL {
            assert_eq!(Account::from_letter(account.letter()), Some(account));
            assert_eq!(account.as_str().parse(), Ok(account));
        }
        assert!("late".parse::<Account>().unwrap_err().to_string().contains("achieved_late, "));
    }

    #[test]
    fn every_expectation_can_get_a_verdict_and_only_forgotten_ones_end() {
        for account in Account::ALL.into_iter().filter(|account| account.is_open()) {
            assert!(
                Account::ALL.into_iter().any(|to| to.is_verdict() && account.may_become(to)),
                "{account}"
            );
        }
        for account in Account::ALL {
            let ends = !Account::ALL.into_iter().any(|to| account.may_become(to));
            assert_eq!(ends, matches!(account, Account::Duplicate | Account::Forgotten), "{account}");
        }
    }
}
