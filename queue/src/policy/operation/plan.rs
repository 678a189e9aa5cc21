//! What an operation does, and to which jobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    job::{Job, id::JobId, state::State},
    policy::{account::Account, priority::Priority},
};

/// The most jobs that an operation names one by one.
pub const MAX_IDS: usize = 1_000;

/// What an operation does to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Makes it run again.
    Retry,
    /// Cancels it.
    Cancel,
    /// Forgets it.
    Purge,
    /// Moves it to another time.
    Reschedule {
        /// To which.
        to: When,
    },
    /// Gives it another priority.
    Prioritise {
        /// Which.
        priority: Priority,
    },
    /// Releases it, whatever it waits for.
    Unpark,
    /// Settles its outcome.
    Waive,
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// So many ms after the change.
    After(u64),
    /// At this time, UTC ms; at once if it is over.
    At(i64),
}

/// Where the jobs of a selection are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The jobs in a state.
    State {
        /// Which.
        state: State,
        /// Of dead jobs: only those of this group.
        group: Option<String>,
        /// Of parked jobs: only those that wait for this condition, in stored form.
        condition: Option<String>,
    },
    /// The jobs whose outcomes have a status.
    Outcome(
        /// Which: overdue or missed.
        Account,
    ),
    /// These jobs.
    Ids(
        /// Up to [`MAX_IDS`].
        Vec<JobId>,
    ),
}

/// The jobs of an operation: those of the source that came there before the operation was created, and
/// that fit the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Where the jobs are found.
    pub source: Source,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this route.
    pub route: Option<String>,
    /// In the state, or overdue or missed, since this time, UTC ms, or a later one.
    pub from: Option<i64>,
    /// The same since an earlier time than this, UTC ms.
    pub until: Option<i64>,
}

/// What an operation does, as it was created. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it does to each job.
    #[serde(flatten)]
    pub act: Act,
    /// Which jobs.
    pub selection: Selection,
    /// Why.
    pub reason: Option<String>,
    /// Who created it.
    pub by: String,
    /// The time between two jobs, in ms.
    pub pace: u64,
    /// How many jobs must fail of one cause until it stops itself; 0 for no stop rule.
    pub same_cause: u32,
}

/// An operation that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// The act does not change jobs of that source.
    #[error("{act} does not change jobs that are {from}: select {use_instead}")]
    Source {
        /// The act.
        act: &'static str,
        /// What is selected.
        from: &'static str,
        /// What can be.
        use_instead: &'static str,
    },
    /// A waiver without a reason.
    #[error("waive needs a `reason`, which is kept with each outcome")]
    NoReason,
    /// Too many jobs, or none.
    #[error("{0} jobs are named: name 1 to {MAX_IDS}, or select them by state")]
    Ids(usize),
}

impl Act {
    /// The name that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Purge => "purge",
            Self::Reschedule { .. } => "reschedule",
            Self::Prioritise { .. } => "prioritise",
            Self::Unpark => "unpark",
            Self::Waive => "waive",
        }
    }

    /// Whether the work of a job is lost. Such an act needs a dry run, and the number of jobs as
    /// confirmation.
    pub const fn destroys(self) -> bool {
        matches!(self, Self::Cancel | Self::Purge)
    }

    /// What can be selected for it: states, outcomes, and both for people.
    const fn sources(self) -> (&'static [State], &'static [Account], &'static str) {
        use Account::{Missed, Overdue};
        use State::{Cancelled, Dead, Parked, Ready, Scheduled};
        match self {
            Self::Retry => (&[Dead], &[Missed], "dead jobs or missed outcomes"),
            Self::Cancel => (
                // Renewals of leases move running jobs to the end of their index: a walk would not end.
                &[Scheduled, Ready, Parked],
                &[Overdue],
                "scheduled, ready or parked jobs, or overdue outcomes, or name running jobs by their ids",
            ),
            Self::Purge => (&[Dead, Cancelled], &[], "dead or cancelled jobs"),
            Self::Reschedule { .. } => (&[Scheduled, Ready], &[], "scheduled or ready jobs"),
            Self::Prioritise { .. } => (
                &[Scheduled, Ready, Parked],
                &[Overdue],
                "scheduled, ready or parked jobs, or overdue outcomes",
            ),
            Self::Unpark => (&[Parked], &[], "parked jobs"),
            Self::Waive => (&[Dead], &[Overdue, Missed], "overdue or missed outcomes, or dead jobs"),
        }
    }
}

/// What a survey found about a job.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The job: its head line, state and expectation.
    pub job: Job,
    /// The account field, which a job without an exception lacks.
    pub account: Option<Account>,
    /// The group of a dead job.
    pub group: Option<String>,
    /// Whether another job took its place.
    pub is_replaced: bool,
}

/// What an operation does with a job of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Changes it.
    Change,
    /// Passes it over: it is not selected, or is as it would become.
    Pass,
    /// Cannot change it, for this reason.
    Refuse(String),
}

impl Plan {
    /// Checks that act and selection fit together.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<(), BadPlan> {
        if self.act == Act::Waive && self.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(BadPlan::NoReason);
        }
        let (states, outcomes, use_instead) = self.act.sources();
        let (fits, from) = match &self.selection.source {
            Source::State { state, .. } => (states.contains(state), state.as_str()),
            Source::Outcome(account) => (outcomes.contains(account), account.as_str()),
            Source::Ids(ids) if ids.is_empty() || ids.len() > MAX_IDS => return Err(BadPlan::Ids(ids.len())),
            Source::Ids(_) => (true, ""),
        };
        if fits { Ok(()) } else { Err(BadPlan::Source { act: self.act.as_str(), from, use_instead }) }
    }

    /// The time between two jobs.
    pub const fn pace(&self) -> Duration {
        Duration::from_millis(self.pace)
    }

    /// The state that a job must be in at the moment of its change; `None` where the act alone decides.
    pub fn only(&self) -> Option<State> {
        match (&self.selection.source, self.act) {
            (Source::State { state, .. }, _) => Some(*state),
            (Source::Outcome(_) | Source::Ids(_), Act::Retry) => Some(State::Dead),
            (Source::Ids(_), Act::Unpark) => Some(State::Parked),
            _ => None,
        }
    }

    /// Whether a job must have come into its state before the operation was created. What was named one
    /// by one, or is late, may have moved since, unless the act is on the end of the job.
    pub const fn is_of_before(&self) -> bool {
        match &self.selection.source {
            Source::State { .. } => true,
            Source::Outcome(_) => matches!(self.act, Act::Retry),
            Source::Ids(_) => matches!(self.act, Act::Retry | Act::Unpark | Act::Purge),
        }
    }

    /// What becomes of a job that the walk met, `at` the time of its entry in the index. `None` stands
    /// for a job that is not there.
    pub fn fate(&self, facts: Option<&Facts>, at: Option<i64>, route: Option<u32>, cutoff: i64) -> Fate {
        let is_named = matches!(self.selection.source, Source::Ids(_));
        let Some(facts) = facts else {
            return if is_named { Fate::Refuse("unknown".to_owned()) } else { Fate::Pass };
        };
        let job = &facts.job;
        if !self.selection.admits(job, at.unwrap_or(job.since), route) {
            // Whether a job of another tenant is there is not told.
            return if is_named { Fate::Refuse("unknown".to_owned()) } else { Fate::Pass };
        }
        let refuse = |reason: &str| {
            // What is not named left the source, or came to it after the cut-off.
            if is_named { Fate::Refuse(reason.to_owned()) } else { Fate::Pass }
        };
        if self.only().is_some_and(|state| job.state != state) {
            return refuse(job.state.as_str());
        }
        let fate = self.act.fate(facts);
        let is_newer = self.is_of_before() && job.since >= cutoff || at.is_some_and(|at| at >= cutoff);
        if is_newer && (!is_named || fate == Fate::Change) {
            return refuse("newer");
        }
        fate
    }
}

impl Selection {
    fn admits(&self, job: &Job, since: i64, route: Option<u32>) -> bool {
        self.kind.as_ref().is_none_or(|kind| job.kind == *kind)
            && self.tenant.as_ref().is_none_or(|tenant| job.tenant.as_ref() == Some(tenant))
            && (self.route.is_none()
                || route.is_some() && job.expectation.map(|expected| expected.route) == route)
            && self.from.is_none_or(|from| since >= from)
            && self.until.is_none_or(|until| since < until)
    }
}

impl Act {
    /// What the act does to a job. `change.lua` decides it again, at the moment of the change.
    fn fate(self, facts: &Facts) -> Fate {
        use State::{Cancelled, Dead, Parked, Ready, Running, Scheduled, Succeeded};
        let job = &facts.job;
        let refuse = || Fate::Refuse(job.state.to_string());
        match (self, job.state) {
            (Self::Retry, Dead) if facts.is_replaced => Fate::Refuse("replaced".to_owned()),
            (Self::Retry, Dead) | (Self::Unpark, Parked) => Fate::Change,
            (Self::Cancel, Scheduled | Ready | Running | Parked) => Fate::Change,
            (Self::Purge, Dead | Cancelled) => Fate::Change,
            (Self::Reschedule { to: When::After(0) }, Ready) => Fate::Pass,
            (Self::Reschedule { .. }, Scheduled | Ready) => Fate::Change,
            (Self::Prioritise { priority }, Scheduled | Ready | Parked) if job.priority == priority => {
                Fate::Pass
            }
            (Self::Prioritise { .. }, Scheduled | Ready | Parked) => Fate::Change,
            (Self::Waive, state) => {
                if job.expectation.is_none() {
                    return Fate::Refuse("unexpected".to_owned());
                }
                match facts.account {
                    Some(Account::Waived | Account::Waiving) => Fate::Pass,
                    Some(Account::Partial) => refuse(),
                    Some(_) => Fate::Change,
                    None if matches!(state, Succeeded | Cancelled) => refuse(),
                    None => Fate::Change,
                }
            }
            _ => refuse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(act: Act, source: Source) -> Plan {
        let selection = Selection { source, kind: None, tenant: None, route: None, from: None, until: None };
        let (reason, by) = (None, "ada".to_owned());
        Plan { act, selection, reason, by, pace: 0, same_cause: 0 }
    }

    fn state(state: State) -> Source {
        Source::State { state, group: None, condition: None }
    }

    #[test]
    fn an_act_takes_jobs_that_it_can_change_only() {
        assert_eq!(plan(Act::Retry, state(State::Dead)).check(), Ok(()));
        assert_eq!(plan(Act::Cancel, Source::Outcome(Account::Overdue)).check(), Ok(()));
        let bad = plan(Act::Retry, state(State::Ready)).check().unwrap_err().to_string();
        assert!(plan(Act::Cancel, state(State::Running)).check().is_err());
        assert_eq!(bad, "retry does not change jobs that are ready: select dead jobs or missed outcomes");
        assert_eq!(plan(Act::Purge, Source::Ids(Vec::new())).check(), Err(BadPlan::Ids(0)));
        assert_eq!(plan(Act::Waive, state(State::Dead)).check(), Err(BadPlan::NoReason));
    }

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        for act in [
            Act::Retry,
            Act::Reschedule { to: When::At(1_773_480_413_000) },
            Act::Reschedule { to: When::After(0) },
            Act::Prioritise { priority: Priority::High },
        ] {
            for source in
                [state(State::Dead), Source::Outcome(Account::Missed), Source::Ids(vec![JobId::random()])]
            {
                let plan = plan(act, source);
                let text = serde_json::to_string(&plan).unwrap();
                assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
            }
        }
    }
}
