//! How often and when to retry, by class of failure and by kind of job.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upshot_queue::{FailureClass, RetryPolicy, Wait};

use super::duration;

/// Failures of each class that a job survives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Failures that may go away by themselves.
    pub transient: u32,
    /// The other side asked to come back later.
    pub throttled: u32,
    /// Attempts that ran too long.
    pub timed_out: u32,
    /// Panics, and processes that ended.
    pub crashed: u32,
}

/// The wait before another attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// Doubled from here.
    #[serde(with = "duration")]
    pub first: Duration,
    /// Up to here.
    #[serde(with = "duration")]
    pub most: Duration,
    /// Never less.
    #[serde(with = "duration")]
    pub least: Duration,
}

/// The parts of [`Retries`] in which a kind differs from its queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "they are those of `Retries`")]
pub struct SomeRetries {
    pub transient: Option<u32>,
    pub throttled: Option<u32>,
    pub timed_out: Option<u32>,
    pub crashed: Option<u32>,
}

/// The parts of [`Backoff`] in which a class or a kind differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "they are those of `Backoff`")]
pub struct SomeBackoff {
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub first: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub most: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub least: Option<Duration>,
}

/// The backoff of classes that wait differently.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "they are those of `Retries`")]
pub struct BackoffOf {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transient: Option<SomeBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<SomeBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<SomeBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashed: Option<SomeBackoff>,
}

/// In what a kind differs from its queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KindSettings {
    /// Failures that a job survives.
    pub retries: SomeRetries,
    /// The wait before another attempt.
    pub backoff: SomeBackoff,
    /// The same for classes that wait differently.
    pub backoff_of: BackoffOf,
}

impl Default for Retries {
    fn default() -> Self {
        let RetryPolicy { transient, throttled, timed_out, crashed, .. } = RetryPolicy::default();
        Self { transient, throttled, timed_out, crashed }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        let Wait { base, cap, floor } = Wait::default();
        Self { first: base, most: cap, least: floor }
    }
}

impl Backoff {
    fn wait(&self) -> Wait {
        Wait { base: self.first, cap: self.most, floor: self.least }
    }
}

impl SomeRetries {
    /// The whole of it: missing parts are those of the queue.
    pub(super) fn over(&self, queue: &Retries) -> Retries {
        Retries {
            transient: self.transient.unwrap_or(queue.transient),
            throttled: self.throttled.unwrap_or(queue.throttled),
            timed_out: self.timed_out.unwrap_or(queue.timed_out),
            crashed: self.crashed.unwrap_or(queue.crashed),
        }
    }
}

impl SomeBackoff {
    /// The whole of it: missing parts are those of `below`.
    pub(super) fn over(&self, below: &Backoff) -> Backoff {
        Backoff {
            first: self.first.unwrap_or(below.first),
            most: self.most.unwrap_or(below.most),
            least: self.least.unwrap_or(below.least),
        }
    }

    fn over_some(&self, below: &Self) -> Self {
        Self {
            first: self.first.or(below.first),
            most: self.most.or(below.most),
            least: self.least.or(below.least),
        }
    }
}

impl BackoffOf {
    /// Classes that wait differently, and their names in the settings.
    pub(super) fn classes(&self) -> impl Iterator<Item = (FailureClass, &SomeBackoff)> {
        let all = [
            (FailureClass::Transient, &self.transient),
            (FailureClass::Throttled, &self.throttled),
            (FailureClass::TimedOut, &self.timed_out),
            (FailureClass::Crashed, &self.crashed),
        ];
        all.into_iter().filter_map(|(class, backoff)| Some((class, backoff.as_ref()?)))
    }

    /// The whole of it: missing parts are those of the queue.
    pub(super) fn over(&self, queue: &Self) -> Self {
        let both = |kind: &Option<SomeBackoff>, queue: &Option<SomeBackoff>| match (kind, queue) {
            (Some(kind), Some(queue)) => Some(kind.over_some(queue)),
            (kind, queue) => kind.clone().or_else(|| queue.clone()),
        };
        Self {
            transient: both(&self.transient, &queue.transient),
            throttled: both(&self.throttled, &queue.throttled),
            timed_out: both(&self.timed_out, &queue.timed_out),
            crashed: both(&self.crashed, &queue.crashed),
        }
    }
}

/// The policy of these settings.
pub(super) fn policy(retries: &Retries, backoff: &Backoff, of: &BackoffOf) -> RetryPolicy {
    RetryPolicy {
        transient: retries.transient,
        throttled: retries.throttled,
        timed_out: retries.timed_out,
        crashed: retries.crashed,
        wait: backoff.wait(),
        waits: of.classes().map(|(class, some)| (class, some.over(backoff).wait())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_a_kind_takes_what_is_missing_from_where_it_stands_next() {
        let kind: KindSettings = toml::from_str(
            "backoff = { first = \"2s\" }\nbackoff_of = { throttled = { most = \"1h\" } }\nretries = { crashed = 0 }",
        )
        .unwrap();
        let of: BackoffOf =
            toml::from_str("throttled = { least = \"10s\", most = \"9m\" }\ntimed_out = { first = \"5s\" }")
                .unwrap();
        let retries = kind.retries.over(&Retries::default());
        let backoff = kind.backoff.over(&Backoff::default());
        let policy = policy(&retries, &backoff, &kind.backoff_of.over(&of));
        let seconds = |base, cap, floor| Wait {
            base: Duration::from_secs(base),
            cap: Duration::from_secs(cap),
            floor: Duration::from_millis(floor),
        };
        assert_eq!((policy.crashed, policy.transient), (0, Retries::default().transient));
        assert_eq!(policy.wait, seconds(2, 300, 200));
        // Of the class and the kind; of the class and the queue; of the kind.
        assert_eq!(policy.waits[&FailureClass::Throttled], seconds(2, 3600, 10_000));
        assert_eq!(policy.waits[&FailureClass::TimedOut], seconds(5, 300, 200));
        assert_eq!(policy.waits.len(), 2);
    }

    #[test]
    fn a_class_that_never_runs_again_has_no_backoff() {
        let error = toml::from_str::<BackoffOf>("permanent = { first = \"1s\" }").unwrap_err().to_string();
        assert!(error.contains("permanent") && error.contains("timed_out"), "{error}");
    }
}
