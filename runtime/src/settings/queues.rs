//! Settings of one queue.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::{Configuration, QueueName, Retention, Shares, WorkerOptions, configuration::LEAST_KEPT};
use upshot_shared::duration;

use super::{
    ByteSize, Error,
    limits::{self, LimitSettings},
    retries::{Backoff, BackoffOf, KindSettings, Retries, RetryFor, policy},
};

/// How executors work on a queue.
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
    /// How long failures are retried.
    pub retry_for: RetryFor,
    /// The wait before another attempt.
    pub backoff: Backoff,
    /// The same for classes that wait differently.
    pub backoff_of: BackoffOf,
    /// Kinds that are retried differently.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, KindSettings>,
    /// Limits of its first configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitSettings>,
    /// The guaranteed shares of the less urgent classes.
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
    /// How long signals are kept for jobs that wait for them later.
    #[serde(with = "duration")]
    pub keep_signals: Duration,
    /// How long rows about the verdicts of forgotten jobs are kept.
    #[serde(with = "duration")]
    pub keep_verdicts: Duration,
    /// The bytes of all such rows, at most.
    pub keep_verdicts_bytes: ByteSize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            lease: Duration::from_secs(6),
            timeout: Duration::from_secs(900),
            retries: Retries::default(),
            retry_for: RetryFor::default(),
            backoff: Backoff::default(),
            backoff_of: BackoffOf::default(),
            kinds: BTreeMap::new(),
            limits: Vec::new(),
            keep_succeeded: Duration::from_secs(7 * 24 * 3600),
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            keep_cancelled: Duration::from_secs(7 * 24 * 3600),
            keep_signals: Duration::from_secs(7 * 24 * 3600),
            keep_verdicts: Duration::from_secs(90 * 24 * 3600),
            keep_verdicts_bytes: ByteSize(512 << 20),
            shares: Shares::default(),
        }
    }
}

impl QueueSettings {
    /// The options of a worker on this queue. It goes by the configuration that is stored with the
    /// queue; a queue without one gets that of these settings.
    pub fn worker_options(&self, queue: &QueueName) -> WorkerOptions {
        WorkerOptions {
            concurrency: self.concurrency,
            lease: self.lease,
            timeout: self.timeout,
            seed: Some(self.configuration()),
            ..WorkerOptions::new(queue.clone())
        }
    }

    /// What these settings say about the queue, and not about a process that works on it.
    pub fn configuration(&self) -> Configuration {
        let of_kind = |(kind, of): (&String, &KindSettings)| {
            let (retries, backoff) = (of.retries.over(&self.retries), of.backoff.over(&self.backoff));
            let retry_for = of.retry_for.over(&self.retry_for);
            (kind.clone(), policy(&retries, &retry_for, &backoff, &of.backoff_of.over(&self.backoff_of)))
        };
        Configuration {
            retry: policy(&self.retries, &self.retry_for, &self.backoff, &self.backoff_of),
            kinds: self.kinds.iter().map(of_kind).collect(),
            limits: self.limits.iter().map(|each| (each.key.clone(), each.limit())).collect(),
            shares: self.shares,
            keep: Retention {
                succeeded: self.keep_succeeded,
                dead: self.keep_dead,
                cancelled: self.keep_cancelled,
                signals: self.keep_signals,
                verdicts: self.keep_verdicts,
                verdicts_bytes: self.keep_verdicts_bytes.0 as u64,
            },
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
            if keep < LEAST_KEPT {
                let remedy =
                    "use at least 1m: an event is recognised as known for as long as its job is kept";
                return impossible(key, shown(keep), remedy);
            }
        }
        if self.keep_signals < Duration::from_secs(60) {
            let remedy = "use at least 1m: a job that waits later than that never learns of its signal";
            return impossible("keep_signals", shown(self.keep_signals), remedy);
        }
        if self.keep_verdicts < LEAST_KEPT {
            return impossible("keep_verdicts", shown(self.keep_verdicts), "use at least 1m");
        }
        possible(name, "backoff.most", &self.backoff)?;
        for (class, of) in self.backoff_of.classes() {
            possible(name, &format!("backoff_of.{class}.most"), &of.over(&self.backoff))?;
        }
        for (kind, of) in &self.kinds {
            let key = format!("kinds.\"{kind}\"");
            if !(1..=512).contains(&kind.len()) {
                return impossible("kinds", format!("`{kind}`"), "a kind is 1 to 512 characters");
            }
            let backoff = of.backoff.over(&self.backoff);
            possible(name, &format!("{key}.backoff.most"), &backoff)?;
            for (class, some) in of.backoff_of.over(&self.backoff_of).classes() {
                possible(name, &format!("{key}.backoff_of.{class}.most"), &some.over(&backoff))?;
            }
        }
        limits::validate(name, &self.limits)
    }
}

/// Whether a backoff leaves room between its bounds.
fn possible(queue: &QueueName, key: &str, backoff: &Backoff) -> Result<(), Error> {
    if backoff.first <= backoff.most && backoff.least <= backoff.most {
        return Ok(());
    }
    let Backoff { first, most, least } = backoff;
    let shown = |duration: &Duration| humantime::format_duration(*duration).to_string();
    Err(Error::Impossible {
        key: format!("queues.{queue}.{key}"),
        value: shown(most),
        remedy: format!(
            "neither `first` ({}) nor `least` ({}) may be longer than it",
            shown(first),
            shown(least)
        ),
    })
}

#[cfg(test)]
mod tests {
    use upshot_queue::FailureClass;

    use super::*;

    #[test]
    fn kinds_and_classes_reach_the_worker() {
        let text = r#"
            backoff_of = { throttled = { least = "10s" } }
            [kinds."invoice.issue"]
            retries = { transient = 3 }
            backoff = { most = "1m" }
        "#;
        let settings: QueueSettings = toml::from_str(text).unwrap();
        let name: QueueName = "invoices".parse().unwrap();
        settings.validate(&name).unwrap();
        let configuration = settings.configuration();
        configuration.check().unwrap();
        let least = |policy: &upshot_queue::RetryPolicy| policy.waits[&FailureClass::Throttled].floor;
        assert_eq!(
            (configuration.retry.transient, least(&configuration.retry)),
            (20, Duration::from_secs(10))
        );
        let kind = &configuration.kinds["invoice.issue"];
        assert_eq!((kind.transient, kind.crashed, least(kind)), (3, 3, Duration::from_secs(10)));
        assert_eq!((kind.wait.cap, kind.wait.base), (Duration::from_secs(60), Duration::from_secs(1)));
        // The printed settings in force can be read again.
        let printed = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<QueueSettings>(&printed).unwrap(), settings, "{printed}");
    }
}
