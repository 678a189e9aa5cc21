//! Why an attempt did not finish.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The class of a failure, which decides whether and when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May go away by itself: a connection refused, a 503.
    Transient,
    /// The other side asked to come back later.
    Throttled,
    /// Will fail again for the same arguments.
    Permanent,
    /// An effect was requested and no answer came: it may have happened.
    Unclear,
    /// The attempt ran longer than allowed.
    TimedOut,
    /// The handler panicked, or its process ended.
    Crashed,
    /// The deadline passed before the job could run.
    Expired,
    /// A confirmation said that the work did not come out right.
    Refuted,
    /// The confirmation that the work came out right did not come in time.
    Unconfirmed,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 9] = [
        Self::Transient,
        Self::Throttled,
        Self::Permanent,
        Self::Unclear,
        Self::TimedOut,
        Self::Crashed,
        Self::Expired,
        Self::Refuted,
        Self::Unconfirmed,
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
            Self::Refuted => "refuted",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

impl FromStr for FailureClass {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|class| class.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("it is not a class of failures; the classes are {names}")
        })
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt did not finish: what a handler returns as its error, as
/// [`Stop`](crate::Stop) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// The message for people. It must not contain a secret.
    pub message: String,
    /// For [`FailureClass::Throttled`]: the wait that the other side asked for. For
    /// [`FailureClass::Permanent`]: the wait after which a second attempt confirms it.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
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

    /// An effect was requested and no answer came: it may have happened. It is repeated only a few
    /// times, because each repetition may be a second effect.
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

/// The texts of an error and its sources, each once. Many errors repeat their source in their own
/// text; others do not.
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
    /// The worker that ran it.
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
        /// Layers that repeat their source, and layers that do not.
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
