//! The configuration of a queue, the same in every process: retention, shares, retries and limits.
//!
//! One document with these is stored with the queue. The document is complete: a program adds
//! nothing from its own defaults, so programs of different versions agree. Its keys in JSON are:
//! | key | value |
//! |---|---|
//! | `retries` | how many failures of each class a job survives |
//! | `retry_for` | how long a job survives failures of a class, for any number |
//! | `backoff`, `backoff_of` | the wait before another attempt; the waits of single classes |
//! | `kinds` | the previous four for single kinds |
//! | `limits` | limits and weights by key |
//! | `shares` | the guaranteed shares of the less urgent classes |
//! | `keep_succeeded`, `keep_dead`, `keep_cancelled` | how long jobs that ended are kept |
//! | `keep_signals` | how long signals are kept for jobs that wait later |
//! | `keep_verdicts`, `keep_verdicts_bytes` | how long rows about the verdicts of forgotten jobs are kept, and the bytes of all |

mod difference;
mod duration;
mod retries;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{
    failure::FailureClass,
    limit::{BadLimit, Limit, LimitKey},
    priority::Shares,
    retry::{RetryPolicy, Wait},
};
pub use difference::Difference;
use retries::{Backoff, Budgets, Patience, Retries};

/// The largest configuration, in bytes of JSON, because workers read the whole document.
pub const MAX_CONFIGURATION: usize = 64 * 1024;

/// The shortest retention. An enqueue finds a job only while it is kept.
pub const LEAST_KEPT: Duration = Duration::from_secs(60);

/// Bytes of a kind's name, at most.
const LONGEST_KIND: usize = 512;

/// The configuration of a queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Document", into = "Document")]
pub struct Configuration {
    /// The retry policy.
    pub retry: RetryPolicy,
    /// The retry policy of single kinds.
    pub kinds: BTreeMap<String, RetryPolicy>,
    /// Limits and weights, which are set when the configuration is applied.
    pub limits: BTreeMap<LimitKey, Limit>,
    /// What the less urgent classes of priority get in any case.
    pub shares: Shares,
    /// How long jobs that ended, and signals, are kept.
    pub keep: Retention,
}

/// How long jobs that ended, signals and verdicts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Succeeded ones.
    pub succeeded: Duration,
    /// Dead ones.
    pub dead: Duration,
    /// Cancelled ones.
    pub cancelled: Duration,
    /// Signals, for jobs that wait later.
    pub signals: Duration,
    /// Rows about the verdicts of forgotten jobs.
    pub verdicts: Duration,
    /// The bytes of all such rows, at most. The oldest go first, and achieved in time before exceptions.
    pub verdicts_bytes: u64,
}

/// An invalid configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{key}` is {value}: {remedy}")]
pub struct BadConfiguration {
    /// The part that is wrong.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The remedy.
    pub remedy: String,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Document {
    retries: Budgets,
    retry_for: BTreeMap<FailureClass, Patience>,
    backoff: Backoff,
    #[serde(default)]
    backoff_of: BTreeMap<FailureClass, Backoff>,
    #[serde(default)]
    kinds: BTreeMap<String, Retries>,
    #[serde(default)]
    limits: BTreeMap<LimitKey, Limit>,
    shares: Shares,
    #[serde(with = "duration")]
    keep_succeeded: Duration,
    #[serde(with = "duration")]
    keep_dead: Duration,
    #[serde(with = "duration")]
    keep_cancelled: Duration,
    #[serde(with = "duration")]
    keep_signals: Duration,
    #[serde(with = "duration", default = "keep_verdicts")]
    keep_verdicts: Duration,
    #[serde(default = "keep_verdicts_bytes")]
    keep_verdicts_bytes: u64,
}

/// Of a document that was stored before there were rows.
fn keep_verdicts() -> Duration {
    Retention::default().verdicts
}

fn keep_verdicts_bytes() -> u64 {
    Retention::default().verdicts_bytes
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            succeeded: Duration::from_secs(7 * DAY),
            dead: Duration::from_secs(30 * DAY),
            cancelled: Duration::from_secs(7 * DAY),
            signals: Duration::from_secs(7 * DAY),
            verdicts: Duration::from_secs(90 * DAY),
            verdicts_bytes: 512 << 20,
        }
    }
}

impl Configuration {
    /// Reads a configuration from an operator. Unlike a stored one, it must not have keys that this
    /// program does not know.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(document: &Value) -> Result<Self, BadConfiguration> {
        let bad = |key: String, value: String, remedy: String| BadConfiguration { key, value, remedy };
        let configuration = serde_path_to_error::deserialize::<_, Self>(document).map_err(|error| {
            let (key, remedy) = (error.path().to_string(), error.inner().to_string());
            bad(key, "not what it has to be".to_owned(), remedy)
        })?;
        if let Some(key) = difference::unknown(document, &configuration.document()) {
            return Err(bad(key, "not known".to_owned(), "remove it, or see how it is spelt".to_owned()));
        }
        configuration.check()?;
        Ok(configuration)
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// The part that is wrong, and the remedy.
    pub fn check(&self) -> Result<(), BadConfiguration> {
        let bad = |key: String, value: String, remedy: String| Err(BadConfiguration { key, value, remedy });
        let shown = duration::shown;
        for (key, keep) in [
            ("keep_succeeded", self.keep.succeeded),
            ("keep_dead", self.keep.dead),
            ("keep_cancelled", self.keep.cancelled),
            ("keep_signals", self.keep.signals),
            ("keep_verdicts", self.keep.verdicts),
        ] {
            if keep < LEAST_KEPT {
                let remedy = format!(
                    "use at least {}: a job or signal is found again while it is kept",
                    shown(LEAST_KEPT)
                );
                return bad(key.to_owned(), shown(keep), remedy);
            }
        }
        if !self.shares.are_possible() {
            let remedy = "each is 0 to 1, and their sum is less than 1";
            return bad("shares".to_owned(), format!("{:?}", self.shares), remedy.to_owned());
        }
        let policies = self.kinds.iter().map(|(kind, policy)| (format!("kinds.\"{kind}\"."), policy));
        for (of, policy) in std::iter::once((String::new(), &self.retry)).chain(policies) {
            let waits =
                policy.waits.iter().map(|(class, wait)| (format!("{of}backoff_of.{class}.most"), wait));
            for (key, wait) in std::iter::once((format!("{of}backoff.most"), &policy.wait)).chain(waits) {
                let Wait { base, cap, floor } = *wait;
                if base > cap || floor > cap {
                    let (first, least) = (shown(base), shown(floor));
                    let remedy =
                        format!("neither `first` ({first}) nor `least` ({least}) may be longer than it");
                    return bad(key, shown(cap), remedy);
                }
            }
        }
        if let Some(kind) = self.kinds.keys().find(|kind| !(1..=LONGEST_KIND).contains(&kind.len())) {
            return bad(
                "kinds".to_owned(),
                format!("`{kind}`"),
                format!("a kind is 1 to {LONGEST_KIND} bytes"),
            );
        }
        for (key, limit) in &self.limits {
            let named = format!("limits.\"{key}\"");
            if *limit == Limit::default() {
                let remedy = "it limits nothing: add concurrency, rate or weight, or remove it";
                return bad(named, "empty".to_owned(), remedy.to_owned());
            }
            if let Err(why) = limit.check(key) {
                let why: BadLimit = why;
                return bad(format!("{named}.{}", why.part()), why.value(), why.to_string());
            }
        }
        let bytes = self.stored().len();
        if bytes > MAX_CONFIGURATION {
            let remedy = format!(
                "at most {MAX_CONFIGURATION} bytes are stored: set limits of single tenants apart from it"
            );
            return bad("configuration".to_owned(), format!("{bytes} bytes long"), remedy);
        }
        Ok(())
    }

    /// The differences of another configuration, by key.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        difference::differences(&self.document(), &other.document())
    }

    /// The JSON document.
    pub fn document(&self) -> Value {
        // Numbers and strings always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(crate) fn stored(&self) -> String {
        self.document().to_string()
    }
}

/// Limits as they are stored, so that they compare equal with what is set.
fn with_bursts(limits: BTreeMap<LimitKey, Limit>) -> BTreeMap<LimitKey, Limit> {
    limits.into_iter().map(|(key, limit)| (key, limit.with_burst())).collect()
}

impl From<Configuration> for Document {
    fn from(from: Configuration) -> Self {
        let Configuration { retry, kinds, limits, shares, keep } = from;
        let Retries { retries, retry_for, backoff, backoff_of } = (&retry).into();
        Self {
            retries,
            retry_for,
            backoff,
            backoff_of,
            kinds: kinds.iter().map(|(kind, policy)| (kind.clone(), policy.into())).collect(),
            limits: with_bursts(limits),
            shares,
            keep_succeeded: keep.succeeded,
            keep_dead: keep.dead,
            keep_cancelled: keep.cancelled,
            keep_signals: keep.signals,
            keep_verdicts: keep.verdicts,
            keep_verdicts_bytes: keep.verdicts_bytes,
        }
    }
}

impl From<Document> for Configuration {
    fn from(from: Document) -> Self {
        let kinds = from.kinds.into_iter().map(|(kind, retries)| (kind, retries.into())).collect();
        Self {
            retry: Retries {
                retries: from.retries,
                retry_for: from.retry_for,
                backoff: from.backoff,
                backoff_of: from.backoff_of,
            }
            .into(),
            kinds,
            limits: with_bursts(from.limits),
            shares: from.shares,
            keep: Retention {
                succeeded: from.keep_succeeded,
                dead: from.keep_dead,
                cancelled: from.keep_cancelled,
                signals: from.keep_signals,
                verdicts: from.keep_verdicts,
                verdicts_bytes: from.keep_verdicts_bytes,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn some() -> Configuration {
        let mut configuration = Configuration::default();
        let slow =
            Wait { base: Duration::from_secs(60), cap: Duration::from_secs(3600), floor: Duration::ZERO };
        configuration.retry.waits.insert(FailureClass::Throttled, slow);
        configuration
            .kinds
            .insert("invoice.issue".to_owned(), RetryPolicy { transient: 3, ..Default::default() });
        configuration.limits.insert(LimitKey::Key("smtp".to_owned()), Limit::concurrency(4));
        configuration
    }

    #[test]
    fn a_document_has_the_keys_that_are_documented() {
        let document = some().document();
        for (key, value) in [
            ("/retries/transient", json!(20)),
            ("/retry_for/throttled", json!("1d")),
            ("/backoff/most", json!("15m")),
            ("/backoff_of/throttled/first", json!("1m")),
            ("/kinds/invoice.issue/retries/transient", json!(3)),
            ("/limits/key:smtp/concurrency", json!(4)),
            ("/shares/high", json!(0.2)),
            ("/keep_dead", json!("30d")),
        ] {
            assert_eq!(document.pointer(key), Some(&value), "{key} of {document:#}");
        }
        assert_eq!(Configuration::read(&document).unwrap(), some());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |pointer: &str, value: Value| {
            let mut document = some().document();
            *document.pointer_mut(pointer).unwrap() = value;
            Configuration::read(&document).unwrap_err().to_string()
        };
        for (pointer, value, words) in [
            ("/keep_dead", json!("5s"), &["`keep_dead` is 5s", "at least 1m"][..]),
            ("/keep_dead", json!("soon"), &["keep_dead", "`soon`", "30s"]),
            ("/shares/high", json!(0.9), &["shares", "less than 1"]),
            ("/backoff/first", json!("1h"), &["`backoff.most` is 15m", "1h"]),
            ("/limits/key:smtp", json!({}), &["limits.\"key:smtp\"", "limits nothing"]),
            ("/limits/key:smtp", json!({"rate": 0}), &["rate", "0"]),
            ("/limits", json!({"smtp": {"concurrency": 1}}), &["`smtp`", "key:NAME"]),
            ("/retries", json!({"transient": 1, "crashd": 2}), &["retries", "throttled"]),
            ("/kinds", json!({"a": 1}), &["kinds.a"]),
        ] {
            let said = with(pointer, value);
            words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is not in `{said}`"));
        }
        let mut document = some().document();
        document["retries"]["crashd"] = json!(1);
        let said = Configuration::read(&document).unwrap_err().to_string();
        assert!(said.contains("`retries.crashd` is not known"), "{said}");
    }

    #[test]
    fn a_rate_without_a_burst_has_one_of_1() {
        let mut document = some().document();
        document["limits"]["key:smtp"] = json!({"rate": 2.0});
        let read = Configuration::read(&document).unwrap();
        assert_eq!(read.limits[&LimitKey::Key("smtp".to_owned())], Limit::rate(2.0, 1));
        let mut built = some();
        built.limits.insert(LimitKey::Key("smtp".to_owned()), Limit { rate: Some(2.0), ..Limit::default() });
        assert!(built.differences(&read).is_empty());
    }

    #[test]
    fn a_newer_program_may_have_stored_more() {
        let mut document = some().document();
        document["breakers"] = json!({"smtp": 1});
        assert_eq!(serde_json::from_value::<Configuration>(document).unwrap(), some());
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            keep in 60_000u64..10_000_000_000,
            transient: u32,
            ms in 0u64..100_000,
            weight in 1u32..10_000,
        ) {
            let mut configuration = some();
            configuration.keep.dead = Duration::from_millis(keep);
            configuration.retry.transient = transient;
            configuration.retry.wait.floor = Duration::from_millis(ms);
            configuration.limits.insert(LimitKey::Tenant("a:b".to_owned()), Limit::weight(f64::from(weight) / 100.0));
            let stored = configuration.stored();
            prop_assert_eq!(serde_json::from_str::<Configuration>(&stored).unwrap(), configuration);
        }
    }
}
