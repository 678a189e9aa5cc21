//! How a handler ends an attempt without an outcome.

use std::{fmt, time::Duration};

use apalis_core::error::BoxDynError;
use serde_json::Value;

use crate::{
    job::{OnSilence, condition::Condition},
    policy::failure::{Failure, with_causes},
};

/// Why a handler ends an attempt without an outcome, and what happens to the job.
///
/// A handler returns it as its error. `?` converts each type below, and any other error, which
/// counts as a transient failure: another attempt is safe, giving up is not.
/// ```
/// use upshot_queue::{Failure, Park, Stop};
///
/// fn deliver(order: &str) -> Result<(), Stop> {
///     let label = std::fs::read_to_string(format!("/labels/{order}"))?;
///     if label.is_empty() {
///         return Err(Failure::permanent(format!("{order} has an empty label")).into());
///     }
///     Err(Park::new(format!("{order} confirmed"), "the customer has not confirmed")?.into())
/// }
/// assert!(matches!(deliver("order-1042"), Err(Stop::Failed(_))));
/// ```
/// For this, neither `Stop` nor [`Failure`], [`Snooze`], [`Park`], [`Await`], [`Release`] or
/// [`Undecodable`] is a [`std::error::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The attempt failed. The class decides about another attempt.
    Failed(Failure),
    /// The job runs again after a time.
    Snoozed(Snooze),
    /// The job waits for something other than time.
    Parked(Park),
    /// A part of the work came out right, with this outcome. The job succeeds, and its expectation is
    /// achieved in part. The attempt counts.
    Partial(Value),
    /// The work is done, and a signal that proves it ends the job.
    Awaiting(Await),
    /// Another worker runs the job at once.
    Released(Release),
    /// The job waits for a program that can read its arguments.
    Undecodable(Undecodable),
}

/// Not now: the job runs again later without having failed. The attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snooze {
    /// How long to wait.
    pub wait: Duration,
    /// For people.
    pub why: String,
}

/// Waits for a condition: the job is parked until a signal fulfils the condition
/// ([`Client::signal`](crate::Client::signal)), or an operator or program releases it
/// ([`Client::unpark`](crate::Client::unpark)). The attempt does not count, completed steps stay,
/// and the job is listed as parked with condition and reason.
///
/// The job then runs from its beginning. A signal leaves its answer with the job:
/// ```
/// use upshot_queue::{Condition, Lease, Park, Stop};
///
/// async fn deliver(lease: &Lease, order: &str) -> Result<(), Stop> {
///     let confirmed: Condition = format!("{order} confirmed").parse()?;
///     let Some(answer) = lease.answer(&confirmed) else {
///         let day = std::time::Duration::from_secs(24 * 3600);
///         return Err(Park::wait(confirmed, day, "the customer has not confirmed").into());
///     };
///     let said = answer.payload.as_ref().ok_or("nothing was said within a day")?;
///     // …
///     Ok(())
/// }
/// ```
/// The queue keeps a signal from before the parking, and makes the job ready at once. A job that
/// already has the answer and parks for the same condition again stays parked until it is released.
///
/// # A condition without a signal
/// [`Client::unpark`](crate::Client::unpark) releases the jobs that are parked at that moment, and
/// nothing remembers it. It is for conditions that come and go, such as a breaker. The condition
/// may be fulfilled between the handler's check and the parking. So a program unparks in this
/// order, and repeats it:
/// 1. make true what the handlers look at, where they see it (close the breaker);
/// 2. unpark;
/// 3. unpark again now and then while it stays true, or at the latest when an attempt that checked
///    earlier must have ended (the worker's `timeout`). Without jobs that costs one call;
///    [`Client::conditions_part`](crate::Client::conditions_part) lists the conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Park {
    /// What it waits for.
    pub condition: Condition,
    /// How long it waits, counted from the first time that it is parked for the condition; `None`
    /// for ever.
    pub within: Option<Duration>,
    /// For people.
    pub why: String,
}

/// The work is done, and its proof is to come: the job is parked without a slot and without a lease,
/// with its outcome, until a signal fulfils the condition. The signal ends the job, and no handler runs.
/// - A payload `{"outcome": "missed", "reason": …}` says that the work did not come out right: the job
///   is dead with the class [`Refuted`](crate::FailureClass::Refuted).
/// - Any other payload confirms the outcome: the job has succeeded. The payload becomes a member of the
///   list `evidence` of the outcome, if the outcome has one.
///
/// A signal from before ends the job at once. The attempt counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Await {
    /// What the handler returned.
    pub outcome: Value,
    /// What it awaits.
    pub condition: Condition,
    /// How long, counted from the end of the attempt.
    pub within: Duration,
    /// What it means when no signal comes.
    pub on_silence: OnSilence,
}

/// Hands the job back, so that another worker runs it at once. The attempt does not count. It is
/// meant for a stopping worker ([`Lease::stopping`](super::Lease::stopping)), which claims no more.
/// Any other worker would get the job right back; use [`Snooze`] there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// For people.
    pub why: String,
}

/// This program cannot read the arguments; another version may. The job is parked until such a
/// version starts; the attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable(pub String);

impl Stop {
    /// Whether the attempt failed. Otherwise it was deferred, and does not count.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The message for people.
    pub fn why(&self) -> &str {
        match self {
            Self::Failed(failure) => &failure.message,
            Self::Snoozed(Snooze { why, .. })
            | Self::Parked(Park { why, .. })
            | Self::Released(Release { why })
            | Self::Undecodable(Undecodable(why)) => why,
            Self::Awaiting(Await { condition, .. }) => condition.key(),
            Self::Partial(_) => "a part of the work came out right",
        }
    }

    /// A job came without a lease.
    pub(super) fn without_lease() -> Self {
        Self::from("a job came without a lease: it was not claimed by this backend")
    }
}

impl Snooze {
    /// Defers the job.
    pub fn new(wait: Duration, why: impl fmt::Display) -> Self {
        Self { wait, why: why.to_string() }
    }
}

impl Park {
    /// Parks the job until the condition of this name is fulfilled.
    ///
    /// # Errors
    /// A permanent failure when the name is not a condition (see [`Condition`]), because the next
    /// attempt would give the same name.
    pub fn new(condition: impl AsRef<str>, why: impl fmt::Display) -> Result<Self, Failure> {
        let condition = condition.as_ref().parse::<Condition>().map_err(Failure::permanent)?;
        Ok(Self { condition, within: None, why: why.to_string() })
    }

    /// Parks the job until a signal fulfils the condition, or for this long. In the next attempt
    /// [`Lease::answer`](super::Lease::answer) tells how the wait ended.
    pub fn wait(condition: Condition, within: Duration, why: impl fmt::Display) -> Self {
        Self { condition, within: Some(within), why: why.to_string() }
    }
}

impl Release {
    /// Hands the job back.
    pub fn new(why: impl fmt::Display) -> Self {
        Self { why: why.to_string() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Snoozed(Snooze { wait, why }) => write!(f, "snoozed for {wait:?}: {why}"),
            Self::Parked(Park { condition, why, .. }) => write!(f, "parked for {condition}: {why}"),
            Self::Partial(_) => f.write_str(self.why()),
            Self::Awaiting(Await { condition, within, .. }) => {
                write!(f, "done, and awaits {condition} for {within:?}")
            }
            Self::Released(Release { why }) => write!(f, "handed back: {why}"),
            Self::Undecodable(Undecodable(why)) => f.write_str(why),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Snooze> for Stop {
    fn from(snooze: Snooze) -> Self {
        Self::Snoozed(snooze)
    }
}

impl From<Park> for Stop {
    fn from(park: Park) -> Self {
        Self::Parked(park)
    }
}

impl From<Await> for Stop {
    fn from(awaits: Await) -> Self {
        Self::Awaiting(awaits)
    }
}

impl From<Release> for Stop {
    fn from(release: Release) -> Self {
        Self::Released(release)
    }
}

impl From<Undecodable> for Stop {
    fn from(undecodable: Undecodable) -> Self {
        Self::Undecodable(undecodable)
    }
}

/// Any other error: of the standard library, of a crate, boxed, an `anyhow::Error`, a text.
impl<E: Into<BoxDynError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(Failure::transient(with_causes(error.into().as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(error: impl Into<Stop>) -> Stop {
        error.into()
    }

    #[test]
    fn any_error_is_a_transient_failure_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(fails(error), Stop::Failed(Failure::transient("outer: inner")));
        assert_eq!(fails(BoxDynError::from("boxed")), Stop::Failed(Failure::transient("boxed")));
    }

    #[test]
    fn what_is_said_stays_what_it_is() {
        let failure = Failure::permanent("no such customer");
        assert_eq!(fails(failure.clone()), Stop::Failed(failure));
        let release = fails(Release::new("the worker stops"));
        assert!(!release.is_failure() && release.why() == "the worker stops");
        assert!(!fails(Snooze::new(Duration::from_secs(1), "later")).is_failure());
        let bad = || -> Result<(), Stop> { Err(Park::new("", "no name")?.into()) };
        assert!(
            matches!(bad(), Err(Stop::Failed(failure)) if failure.class == crate::FailureClass::Permanent)
        );
    }
}
