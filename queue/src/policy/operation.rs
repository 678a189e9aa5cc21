//! Operations: acts on many jobs, as pure decisions.
//!
//! ```text
//! create ─▶ counting ─▶ counted ──start──▶ running ─▶ done
//!    └─────────────(without a dry run)────────▲│ ▲
//!                                        pause▼│ │resume
//!                                        paused └─┼─▶ stopped, by its stop rule
//!                                                 └── stopped
//! ```
//! Each state but the last ones may become `aborted`. An operation that cannot be walked becomes
//! `failed`.

mod plan;
mod tally;

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::job::id::JobId;

pub use plan::{Act, BadPlan, Facts, Fate, MAX_IDS, Plan, Selection, Source, When};
pub use tally::{Cause, Tally};

/// The most jobs of one step.
pub(crate) const STEP: usize = crate::scripts::MAX_BATCH;

/// An operation's name: 26 characters, like a job's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(JobId);

impl OperationId {
    /// A fresh id, sorted by time.
    pub fn random() -> Self {
        Self(JobId::random())
    }

    /// The 26 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn trusted(id: String) -> Self {
        Self(JobId::trusted(id))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not an operation's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an operation's id: 26 characters of a-z and 2-7 are expected")]
pub struct BadOperationId;

impl FromStr for OperationId {
    type Err = BadOperationId;

    fn from_str(text: &str) -> Result<Self, BadOperationId> {
        text.parse().map(Self).map_err(|_| BadOperationId)
    }
}

/// The state of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It counts the jobs that it would change.
    Counting,
    /// It has counted them, and waits for its start.
    Counted,
    /// It changes jobs.
    Running,
    /// A person paused it.
    Paused,
    /// Its stop rule stopped it.
    Stopped,
    /// A person aborted it.
    Aborted,
    /// It has examined the whole selection.
    Done,
    /// It cannot be walked.
    Failed,
}

impl Phase {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Counting,
        Self::Counted,
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Aborted,
        Self::Done,
        Self::Failed,
    ];

    /// The name that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Counted => "counted",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Aborted => "aborted",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether a process walks it.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Counting | Self::Running)
    }

    /// Whether it stays as it is.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Aborted | Self::Done | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a state of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a state of an operation: use {}", Phase::ALL.map(Phase::as_str).join(", "))]
pub struct UnknownPhase;

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(UnknownPhase)
    }
}

/// What a person does to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Changes the jobs that were counted.
    Start,
    /// Changes no further job until it is resumed.
    Pause,
    /// Continues where it was paused, or where its stop rule stopped it.
    Resume,
    /// Ends it. Jobs that were changed stay changed.
    Abort,
}

impl Steer {
    /// The states that allow it.
    pub const fn from(self) -> &'static [Phase] {
        match self {
            Self::Start => &[Phase::Counted],
            Self::Pause => &[Phase::Running],
            Self::Resume => &[Phase::Paused, Phase::Stopped],
            Self::Abort => &[Phase::Counting, Phase::Counted, Phase::Running, Phase::Paused, Phase::Stopped],
        }
    }

    /// The state that it leads to.
    pub const fn to(self) -> Phase {
        match self {
            Self::Start | Self::Resume => Phase::Running,
            Self::Pause => Phase::Paused,
            Self::Abort => Phase::Aborted,
        }
    }

    /// What it did, for people.
    pub const fn did(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Abort => "aborted",
        }
    }
}

/// How many jobs a step changes, so that the steps of a paced operation are a second apart: an abort
/// takes effect within that time.
pub(crate) fn jobs_of_step(pace: Duration) -> usize {
    if pace.is_zero() {
        return STEP;
    }
    let jobs = Duration::from_secs(1).as_nanos() / pace.as_nanos();
    usize::try_from(jobs).unwrap_or(STEP).clamp(1, STEP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEERS: [Steer; 4] = [Steer::Start, Steer::Pause, Steer::Resume, Steer::Abort];

    #[test]
    fn names_are_read_as_they_are_written() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        assert!("paused ".parse::<Phase>().is_err());
        let id = OperationId::random();
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!("x".parse::<OperationId>(), Err(BadOperationId));
    }

    #[test]
    fn a_step_of_a_paced_operation_takes_a_second_at_most() {
        let jobs = |ms| jobs_of_step(Duration::from_millis(ms));
        assert_eq!(
            [jobs(0), jobs(1), jobs(100), jobs(400), jobs(1_000), jobs(3_600_000)],
            [128, 128, 10, 2, 1, 1]
        );
    }

    proptest! {
        #[test]
        fn what_is_over_stays_and_what_is_not_can_be_aborted(
            steers in prop::collection::vec(prop::sample::select(&STEERS[..]), 0..20),
            is_dry in any::<bool>(),
        ) {
            let mut phase = if is_dry { Phase::Counted } else { Phase::Running };
            for steer in steers {
                let is_allowed = steer.from().contains(&phase);
                prop_assert!(!(phase.is_over() && is_allowed));
                prop_assert!(phase.is_over() || steer != Steer::Abort || is_allowed);
                // Only one start: nothing leads back to `counted`.
                prop_assert!(steer.to() != Phase::Counted && steer.to() != Phase::Counting);
                if is_allowed {
                    prop_assert!(steer.to() != phase);
                    phase = steer.to();
                }
            }
        }
    }
}
