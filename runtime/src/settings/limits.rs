//! Limits in the settings of a queue.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use upshot_queue::{Limit, LimitKey, QueueName};

use super::Error;

/// A limit on a queue, a tenant or a limit key, in all processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// `queue`, `tenant:NAME` or `key:NAME`.
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub key: LimitKey,
    /// Jobs that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Jobs that start a second, on the average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Jobs that may start at once after a quiet time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Of a tenant: its share beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl LimitSettings {
    /// What is limited; a rate without a burst has one of 1.
    pub fn limit(&self) -> Limit {
        Limit { concurrency: self.concurrency, rate: self.rate, burst: self.burst, weight: self.weight }
            .with_burst()
    }
}

/// Whether the limits of a queue can be kept, and none is named twice.
pub(super) fn validate(queue: &QueueName, limits: &[LimitSettings]) -> Result<(), Error> {
    for (place, each) in limits.iter().enumerate() {
        let impossible = |remedy: String| {
            let (key, value) = (format!("queues.{queue}.limits[{place}]"), format!("`{}`", each.key));
            Err(Error::Impossible { key, value, remedy })
        };
        if each.limit() == Limit::default() {
            return impossible("it limits nothing: add concurrency, rate or weight, or remove it".to_owned());
        }
        if let Err(bad) = each.limit().check(&each.key) {
            return impossible(bad.to_string());
        }
        if limits.iter().filter(|other| other.key == each.key).count() > 1 {
            return impossible("it is there twice: put both into one".to_owned());
        }
    }
    Ok(())
}

fn shown<S: Serializer>(key: &LimitKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimitKey, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
