//! What a receipt tells.

use std::fmt;

use upshot_queue::Account;

/// What a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The work came out right, in time or late.
    Achieved,
    /// A part of the work came out right.
    Partial,
    /// The work did not come out right.
    Missed,
    /// The outcome is late, and the work continues. A verdict follows.
    Overdue,
    /// The work was cancelled.
    Cancelled,
    /// An operator settled it.
    Waived,
    /// The work began again after a verdict. Another verdict follows.
    Reopened,
}

impl Verdict {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Achieved,
        Self::Partial,
        Self::Missed,
        Self::Overdue,
        Self::Cancelled,
        Self::Waived,
        Self::Reopened,
    ];

    /// What the move of an expectation tells its producer; `None` for a move that tells nothing.
    pub fn of(from: Account, to: Account) -> Option<Self> {
        match to {
            // It was told when the operator settled it.
            Account::Waived if from == Account::Waiving => None,
            Account::AchievedInTime | Account::AchievedLate => Some(Self::Achieved),
            Account::Partial => Some(Self::Partial),
            Account::Missed => Some(Self::Missed),
            Account::Overdue => Some(Self::Overdue),
            Account::Cancelled => Some(Self::Cancelled),
            Account::Waiving | Account::Waived => Some(Self::Waived),
            Account::Reopened => Some(Self::Reopened),
            Account::Received
            | Account::Duplicate
            | Account::Open
            | Account::Awaiting
            | Account::Forgotten => None,
        }
    }

    /// Its word in routing keys and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Achieved => "achieved",
            Self::Partial => "partial",
            Self::Missed => "missed",
            Self::Overdue => "overdue",
            Self::Cancelled => "cancelled",
            Self::Waived => "waived",
            Self::Reopened => "reopened",
        }
    }

    /// The type of the event that tells it.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Achieved => "upshot.outcome.achieved.v1",
            Self::Partial => "upshot.outcome.partial.v1",
            Self::Missed => "upshot.outcome.missed.v1",
            Self::Overdue => "upshot.outcome.overdue.v1",
            Self::Cancelled => "upshot.outcome.cancelled.v1",
            Self::Waived => "upshot.outcome.waived.v1",
            Self::Reopened => "upshot.outcome.reopened.v1",
        }
    }

    /// Whether the outcome is decided, until an operator retries the job.
    pub const fn decides(self) -> bool {
        !matches!(self, Self::Overdue | Self::Reopened)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_legal_move_but_beginnings_and_ends_of_rows_is_told_once() {
        for from in Account::ALL {
            for to in Account::ALL.into_iter().filter(|to| from.may_become(*to)) {
                let is_untold = matches!(to, Account::Duplicate | Account::Open | Account::Awaiting)
                    || to == Account::Forgotten
                    || (from, to) == (Account::Waiving, Account::Waived);
                assert_eq!(Verdict::of(from, to).is_none(), is_untold, "{from} > {to}");
            }
        }
    }

    #[test]
    fn the_type_has_the_word() {
        for verdict in Verdict::ALL {
            assert_eq!(verdict.event_type(), format!("upshot.outcome.{verdict}.v1"));
        }
    }
}
