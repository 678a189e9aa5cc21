//! Settings of one queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upshot_queue::{QueueName, RetryPolicy, Shares, Wait, WorkerOptions};

use super::{Error, duration};

/// How a queue is worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// Jobs that run at once in one executor.
    pub concurrency: usize,
    /// How long a lease lasts.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// How long one attempt may run.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Failures that a job survives.
    pub retries: Retries,
    /// The wait before another attempt.
    pub backoff: Backoff,
    /// What the less urgent classes of priority get in any case.
    pub shares: Shares,
    /// How long succeeded jobs are kept.
    #[serde(with = "duration")]
    pub keep_succeeded: Duration,
    /// How long dead jobs are kept.
    #[serde(with = "duration")]
    pub keep_dead: Duration,
    /// How long cancelled jobs are kept.
    #[serde(with = "duration")]
    pub keep_cancelled: Duration,
}

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

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            lease: Duration::from_secs(6),
            timeout: Duration::from_secs(300),
            retries: Retries::default(),
            backoff: Backoff::default(),
            keep_succeeded: Duration::from_secs(7 * 24 * 3600),
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            keep_cancelled: Duration::from_secs(7 * 24 * 3600),
            shares: Shares::default(),
        }
    }
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

impl QueueSettings {
    /// The options of a worker on this queue.
    pub fn worker_options(&self, queue: &QueueName) -> WorkerOptions {
        WorkerOptions {
            concurrency: self.concurrency,
            lease: self.lease,
            timeout: self.timeout,
            retry: RetryPolicy {
                transient: self.retries.transient,
                throttled: self.retries.throttled,
                timed_out: self.retries.timed_out,
                crashed: self.retries.crashed,
                wait: Wait { base: self.backoff.first, cap: self.backoff.most, floor: self.backoff.least },
                ..RetryPolicy::default()
            },
            shares: self.shares,
            keep_cancelled: self.keep_cancelled,
            keep_succeeded: self.keep_succeeded,
            keep_dead: self.keep_dead,
            ..WorkerOptions::new(queue.clone())
        }
    }

    pub(super) fn validate(&self, name: &QueueName) -> Result<(), Error> {
        let impossible = |key: &str, value: String, remedy: &str| {
            Err(Error::Impossible { key: format!("queues.{name}.{key}"), value, remedy: remedy.to_owned() })
        };
        let shown = |duration| humantime::format_duration(duration).to_string();
        if !(1..=10_000).contains(&self.concurrency) {
            return impossible("concurrency", self.concurrency.to_string(), "use 1 to 10000");
        }
        if self.lease < Duration::from_millis(500) {
            let remedy = "use at least 500ms: a shorter lease is lost at the first hiccup";
            return impossible("lease", shown(self.lease), remedy);
        }
        if self.timeout < Duration::from_millis(100) {
            return impossible("timeout", shown(self.timeout), "use at least 100ms");
        }
        if !self.shares.are_possible() {
            let shown = format!("{:?}", self.shares);
            return impossible("shares", shown, "each is 0 to 1, and their sum is less than 1");
        }
        for (key, keep) in [
            ("keep_succeeded", self.keep_succeeded),
            ("keep_dead", self.keep_dead),
            ("keep_cancelled", self.keep_cancelled),
        ] {
            if keep < Duration::from_secs(60) {
                let remedy =
                    "use at least 1m: an event is recognised as known for as long as its job is kept";
                return impossible(key, shown(keep), remedy);
            }
        }
        if self.backoff.first > self.backoff.most || self.backoff.least > self.backoff.most {
            let remedy = "neither `first` nor `least` may be longer than it";
            return impossible("backoff.most", shown(self.backoff.most), remedy);
        }
        Ok(())
    }
}
