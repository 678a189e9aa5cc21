//! The states of a job and the legal transitions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The state of a job. A job is in exactly one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a time: delayed, or between two attempts.
    Scheduled,
    /// Waits for a worker, for its tenant's turn and for room under its limits.
    Ready,
    /// A worker holds its lease.
    Running,
    /// Waits for something other than a time: a worker that knows its kind, the end of a pause of
    /// its kind, a confirmation.
    Parked,
    /// Finished; its outcome is stored.
    Succeeded,
    /// Will not run again by itself.
    Dead,
    /// An operator cancelled it.
    Cancelled,
}

impl State {
    /// All states, in the order in which a job passes through them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Parked,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The name that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has ended and does not change by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }

    /// Whether a job may go from this state to `next` in one transition.
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            // Due, or rescheduled to now; delayed again.
            (Self::Scheduled, Self::Ready | Self::Scheduled)
                // Claimed; rescheduled; its kind is paused, or the worker does not run it.
                | (Self::Ready, Self::Running | Self::Scheduled | Self::Parked | Self::Ready)
                // Handed back, or taken over without a wait; retry, snooze or taken over; parked by
                // its handler.
                | (Self::Running, Self::Ready | Self::Scheduled | Self::Parked)
                | (Self::Running, Self::Succeeded | Self::Dead | Self::Cancelled)
                // Its condition is fulfilled, or an operator released it; a worker that runs its
                // kind claimed it.
                | (Self::Parked, Self::Ready | Self::Running)
                // The proof of its outcome came, also late; or it counts without one.
                | (Self::Parked | Self::Dead, Self::Succeeded)
                // The deadline passed; the proof did not come; an operator cancelled it.
                | (Self::Scheduled | Self::Ready | Self::Parked, Self::Dead | Self::Cancelled)
                // Only by an operator.
                | (Self::Dead, Self::Ready | Self::Scheduled)
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state: use scheduled, ready, running, parked, succeeded, dead or cancelled")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(s: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == s).ok_or_else(|| UnknownState(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_lead_nowhere_but_by_hand() {
        for from in State::ALL {
            let leads_to: Vec<State> = State::ALL.into_iter().filter(|to| from.may_become(*to)).collect();
            match from {
                State::Succeeded | State::Cancelled => assert!(leads_to.is_empty()),
                State::Dead => assert_eq!(leads_to, [State::Scheduled, State::Ready, State::Succeeded]),
                _ => assert!(!leads_to.is_empty() && !from.is_final(), "{from}"),
            }
            assert_eq!(from.as_str().parse(), Ok(from));
        }
        assert!("done".parse::<State>().is_err());
    }
}
