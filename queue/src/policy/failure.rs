//! Why an attempt did not finish.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::job::need::{BadNeed, Need};

/// What kind of failure it was. The class decides whether and when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May go away by itself: a connection refused, a 503.
    Transient,
    /// The other side asked to come back later.
    Throttled,
    /// Will fail again for the same arguments.
    Permanent,
    /// An effect was asked for and its answer did not come: it may have happened.
    Unclear,
    /// The attempt ran longer than it may.
    TimedOut,
    /// The handler panicked, or its process ended.
    Crashed,
    /// The deadline passed before it could run.
    Expired,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::Transient,
        Self::Throttled,
        Self::Permanent,
        Self::Unclear,
        Self::TimedOut,
        Self::Crashed,
        Self::Expired,
    ];

    /// The name that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Permanent => "permanent",
            Self::Unclear => "unclear",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt did not finish: what a handler returns as its error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What happened, for people; it must name no secret.
    pub message: String,
    /// For [`FailureClass::Throttled`]: the wait that the other side asked for. For
    /// [`FailureClass::Permanent`]: the wait after which a second attempt confirms it.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that may go away by itself.
    pub fn transient(message: impl fmt::Display) -> Self {
        Self::new(FailureClass::Transient, message)
    }

    /// A failure that will occur again for the same arguments.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::new(FailureClass::Permanent, message)
    }

    /// A failure that is probably permanent: the job runs once more after `wait`, and the
    /// second permanent failure is final.
    pub fn permanent_if_confirmed(message: impl fmt::Display, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::permanent(message) }
    }

    /// An effect was asked for and its answer did not come: it may have happened. It is
    /// repeated a few times only, because each repetition may be a second one.
    pub fn unclear(message: impl fmt::Display) -> Self {
        Self::new(FailureClass::Unclear, message)
    }

    /// The other side asked to come back after `wait`.
    pub fn throttled(message: impl fmt::Display, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(FailureClass::Throttled, message) }
    }

    /// A failure of any class.
    pub fn new(class: FailureClass, message: impl fmt::Display) -> Self {
        Self { class, message: message.to_string(), retry_after: None }
    }
}

/// What an error and its sources say, each once: many errors repeat their source in their own
/// text, and others leave it out.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

impl FailedAttempt {
    /// A line of the history.
    pub(crate) fn line(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Not now: what a handler returns as its error to run again later without
/// having failed. The attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("snoozed for {wait:?}: {why}")]
pub struct Snooze {
    /// How long to wait.
    pub wait: Duration,
    /// For people.
    pub why: String,
}

/// Not before something has happened: what a handler returns as its error to have its job
/// parked until somebody calls [`Queue::meet`](crate::Queue::meet) with the need. The attempt
/// does not count, completed steps stay, and the job is listed as parked with need and reason.
/// No worker lets it go by itself, and no time does.
///
/// It runs from its beginning then, so the handler looks first whether it may go on:
/// ```
/// use apalis_core::error::BoxDynError;
/// use upshot_queue::Park;
///
/// # fn is_confirmed(_: &str) -> Result<bool, BoxDynError> { Ok(false) }
/// fn deliver(order: &str) -> Result<(), BoxDynError> {
///     if !is_confirmed(order)? {
///         return Err(Park::new(format!("{order} confirmed"), "the customer has not confirmed")?.into());
///     }
///     // …
///     Ok(())
/// }
/// assert_eq!(deliver("order-1042").unwrap_err().to_string(),
///     "parked for order-1042 confirmed: the customer has not confirmed");
/// ```
///
/// # A need that is met too early
/// Meeting a need lets those jobs go that are parked at that moment, and nothing remembers
/// it. Between the handler's look and the parking there is a moment in which it can be met for
/// nobody, and the job would then wait for the next time. So whoever meets needs does it in this
/// order and not just once:
/// 1. make true what the handlers look at, where they see it (commit the confirmation, close
///    the breaker);
/// 2. meet the need;
/// 3. meet it again now and then for as long as it stays true, or at the latest when an
///    attempt that had looked before must have ended (the worker's `timeout`). Without jobs that
///    costs one call; [`Queue::needs_part`](crate::Queue::needs_part) lists what is waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parked for {need}: {why}")]
pub struct Park {
    /// What it waits for.
    pub need: Need,
    /// For people.
    pub why: String,
}

impl Park {
    /// Parks the job until the need of this name is met.
    ///
    /// # Errors
    /// When it names none (see [`Need`]). Returned by a handler this is a permanent failure:
    /// the next attempt would name the same.
    pub fn new(need: impl AsRef<str>, why: impl fmt::Display) -> Result<Self, BadNeed> {
        Ok(Self { need: need.as_ref().parse()?, why: why.to_string() })
    }
}

/// Not here: what a handler returns as its error to hand its job back, so that another worker
/// runs it at once. The attempt does not count. It is meant for a worker that stops
/// ([`Lease::stopping`](crate::Lease::stopping)) and claims no more; one that does not would get
/// the job right back, so [`Snooze`] it then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("handed back: {why}")]
pub struct Release {
    /// For people.
    pub why: String,
}

impl Release {
    /// Hands the job back.
    pub fn new(why: impl fmt::Display) -> Self {
        Self { why: why.to_string() }
    }
}

/// The arguments cannot be read by this program: what a handler returns as its
/// error when another version of it may be able to. The job is parked until one
/// registers; the attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

/// One line of a job's history: an attempt that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// When it ended, UTC ms.
    pub at: i64,
    /// Which attempt it was, counted from 1.
    pub attempt: u64,
    /// The class.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When it began, UTC ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<i64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Layer(String, bool, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match &self.2 {
                Some(source) if self.1 => write!(f, "{}: {source}", self.0),
                _ => f.write_str(&self.0),
            }
        }
    }

    impl std::error::Error for Layer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.2.as_deref().map(|source| source as _)
        }
    }

    proptest! {
        /// Whether or not a layer repeats its source.
        #[test]
        fn every_cause_is_said_once(layers in prop::collection::vec(any::<bool>(), 1..7)) {
            let chain = layers.iter().enumerate().rev().fold(None, |source, (n, repeats)| {
                Some(Box::new(Layer(format!("cause <{n}>"), *repeats, source)))
            });
            let said = with_causes(&*chain.unwrap());
            for n in 0..layers.len() {
                prop_assert_eq!(said.matches(&format!("cause <{n}>")).count(), 1, "{}", said);
            }
        }
    }
}
