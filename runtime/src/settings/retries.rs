//! How often and when to retry, by class of failure and by kind of job.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::{FailureClass, RetryPolicy, Wait};

use upshot_shared::duration;

/// Failures of each class that a job survives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Failures that may go away by themselves.
    pub transient: u32,
    /// The other side asked to come back later.
    pub throttled: u32,
    /// Effects without an answer: each may have happened.
    pub unclear: u32,
    /// Attempts that ran too long.
    pub timed_out: u32,
    /// Panics, and processes that ended.
    pub crashed: u32,
}

/// How long failures of a class are retried, counted from the first one, for any number of
/// failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryFor {
    /// Failures that may go away by themselves.
    #[serde(with = "duration")]
    pub transient: Duration,
    /// The other side asked to come back later.
    #[serde(with = "duration")]
    pub throttled: Duration,
    /// Effects without an answer.
    #[serde(with = "duration")]
    pub unclear: Duration,
    /// Attempts that ran too long.
    #[serde(with = "duration")]
    pub timed_out: Duration,
}

/// The parts of [`RetryFor`] in which a kind differs from its queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "they are those of `RetryFor`")]
pub struct SomeRetryFor {
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub transient: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub unclear: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<Duration>,
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
    pub unclear: Option<u32>,
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
    pub unclear: Option<SomeBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<SomeBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashed: Option<SomeBackoff>,
}

/// The settings in which a kind differs from its queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KindSettings {
    /// Failures that a job survives.
    pub retries: SomeRetries,
    /// How long failures of a class are retried.
    pub retry_for: SomeRetryFor,
    /// The wait before another attempt.
    pub backoff: SomeBackoff,
    /// The same for classes that wait differently.
    pub backoff_of: BackoffOf,
}

impl Default for Retries {
    fn default() -> Self {
        let RetryPolicy { transient, throttled, unclear, timed_out, crashed, .. } = RetryPolicy::default();
        Self { transient, throttled, unclear, timed_out, crashed }
    }
}

impl Default for RetryFor {
    fn default() -> Self {
        let policy = RetryPolicy::default();
        Self {
            transient: policy.patience(FailureClass::Transient),
            throttled: policy.patience(FailureClass::Throttled),
            unclear: policy.patience(FailureClass::Unclear),
            timed_out: policy.patience(FailureClass::TimedOut),
        }
    }
}

impl RetryFor {
    fn by_class(&self) -> [(FailureClass, Duration); 4] {
        [
            (FailureClass::Transient, self.transient),
            (FailureClass::Throttled, self.throttled),
            (FailureClass::Unclear, self.unclear),
            (FailureClass::TimedOut, self.timed_out),
        ]
    }
}

impl SomeRetryFor {
    /// The complete value: missing parts come from the queue.
    pub(super) fn over(&self, queue: &RetryFor) -> RetryFor {
        RetryFor {
            transient: self.transient.unwrap_or(queue.transient),
            throttled: self.throttled.unwrap_or(queue.throttled),
            unclear: self.unclear.unwrap_or(queue.unclear),
            timed_out: self.timed_out.unwrap_or(queue.timed_out),
        }
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
    /// The complete value: missing parts come from the queue.
    pub(super) fn over(&self, queue: &Retries) -> Retries {
        Retries {
            transient: self.transient.unwrap_or(queue.transient),
            throttled: self.throttled.unwrap_or(queue.throttled),
            unclear: self.unclear.unwrap_or(queue.unclear),
            timed_out: self.timed_out.unwrap_or(queue.timed_out),
            crashed: self.crashed.unwrap_or(queue.crashed),
        }
    }
}

impl SomeBackoff {
    /// The complete value: missing parts come from `below`.
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
            (FailureClass::Unclear, &self.unclear),
            (FailureClass::TimedOut, &self.timed_out),
            (FailureClass::Crashed, &self.crashed),
        ];
        all.into_iter().filter_map(|(class, backoff)| Some((class, backoff.as_ref()?)))
    }

    /// The complete value: missing parts come from the queue.
    pub(super) fn over(&self, queue: &Self) -> Self {
        let both = |kind: &Option<SomeBackoff>, queue: &Option<SomeBackoff>| match (kind, queue) {
            (Some(kind), Some(queue)) => Some(kind.over_some(queue)),
            (kind, queue) => kind.clone().or_else(|| queue.clone()),
        };
        Self {
            transient: both(&self.transient, &queue.transient),
            throttled: both(&self.throttled, &queue.throttled),
            unclear: both(&self.unclear, &queue.unclear),
            timed_out: both(&self.timed_out, &queue.timed_out),
            crashed: both(&self.crashed, &queue.crashed),
        }
    }
}

/// The wait before an effect that may have happened is repeated. The other side may still be
/// working on it, so this wait is longer by default.
fn unclear(backoff: &Backoff) -> Wait {
    let minutes = |n: u64| Duration::from_secs(60 * n).min(backoff.most);
    Wait { base: minutes(5).max(backoff.first), cap: backoff.most, floor: minutes(1).max(backoff.least) }
}

/// The policy of these settings.
pub(super) fn policy(
    retries: &Retries,
    retry_for: &RetryFor,
    backoff: &Backoff,
    of: &BackoffOf,
) -> RetryPolicy {
    let mut waits = HashMap::from([(FailureClass::Unclear, unclear(backoff))]);
    waits.extend(of.classes().map(|(class, some)| (class, some.over(backoff).wait())));
    RetryPolicy {
        transient: retries.transient,
        throttled: retries.throttled,
        unclear: retries.unclear,
        timed_out: retries.timed_out,
        crashed: retries.crashed,
        retry_for: retry_for.by_class().into(),
        wait: backoff.wait(),
        waits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_a_kind_takes_what_is_missing_from_where_it_stands_next() {
        let kind: KindSettings = toml::from_str(
            "backoff = { first = \"2s\" }\nbackoff_of = { throttled = { most = \"1h\" } }\nretries = { crashed = 0 }\nretry_for = { unclear = \"1h\" }",
        )
        .unwrap();
        let of: BackoffOf =
            toml::from_str("throttled = { least = \"10s\", most = \"9m\" }\ntimed_out = { first = \"5s\" }")
                .unwrap();
        let retries = kind.retries.over(&Retries::default());
        let backoff = kind.backoff.over(&Backoff::default());
        let retry_for =
            kind.retry_for.over(&RetryFor { timed_out: Duration::from_secs(5), ..RetryFor::default() });
        let policy = policy(&retries, &retry_for, &backoff, &kind.backoff_of.over(&of));
        let seconds = |base, cap, floor| Wait {
            base: Duration::from_secs(base),
            cap: Duration::from_secs(cap),
            floor: Duration::from_millis(floor),
        };
        assert_eq!((policy.crashed, policy.transient), (0, Retries::default().transient));
        let patience = [FailureClass::Unclear, FailureClass::TimedOut, FailureClass::Transient]
            .map(|class| policy.patience(class).as_secs());
        assert_eq!(patience, [3600, 5, 24 * 3600], "of the kind; of the queue; by default");
        assert_eq!(policy.wait, seconds(2, 900, 200));
        // Of the class and the kind; of the class and the queue; of the kind.
        assert_eq!(policy.waits[&FailureClass::Throttled], seconds(2, 3600, 10_000));
        assert_eq!(policy.waits[&FailureClass::TimedOut], seconds(5, 900, 200));
        assert_eq!(policy.waits[&FailureClass::Unclear], seconds(300, 900, 60_000), "longer than others");
        assert_eq!(policy.waits.len(), 3);
    }

    #[test]
    fn a_class_that_never_runs_again_has_no_backoff() {
        let error = toml::from_str::<BackoffOf>("permanent = { first = \"1s\" }").unwrap_err().to_string();
        assert!(error.contains("permanent") && error.contains("timed_out"), "{error}");
    }
}
