//! Reads which workers a queue has.

use std::{collections::BTreeSet, time::Duration};

use redis::{FromRedisValue, RedisError, Value};
use serde::{Deserialize, Serialize};

use crate::{
    client::handle::Client,
    error::Error,
    job::flow::decode,
    redis::clock::delay_ms,
    scripts::{self, Call},
    worker::WorkerOptions,
};

/// The line of a worker that runs every kind.
const EVERY_KIND: &str = "*";

/// The workers of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// How many there are.
    pub count: u64,
    /// At most 512 of them.
    pub seen: Vec<WorkerSeen>,
}

/// A worker that told of itself lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// When it told last, UTC ms.
    pub told_at: i64,
    /// Jobs that it runs at once.
    pub slots: u32,
    /// Its build.
    pub build: String,
    /// The machine that it runs on; empty if it does not know.
    pub host: String,
    /// The kinds and versions that it runs; `None` for every kind.
    pub kinds: Option<BTreeSet<(String, u32)>>,
}

/// The first line of what a worker tells of itself, in JSON. A line for each kind follows, in the
/// form of claims.
#[derive(Serialize, Deserialize)]
struct FirstLine {
    slots: u32,
    build: String,
    host: String,
    /// For how long the worker counts as there, ms.
    lasts: u64,
}

/// What a worker tells of itself.
pub(crate) struct Facts {
    first: FirstLine,
    kinds: Vec<String>,
}

impl Facts {
    /// What a worker with these options tells. It counts as there for `lasts`.
    pub(crate) fn new(options: &WorkerOptions, lasts: Duration) -> Self {
        let kinds = options.kinds.as_ref();
        let first = FirstLine {
            slots: options.concurrency.try_into().unwrap_or(u32::MAX),
            build: kinds.map(|kinds| kinds.build.clone()).unwrap_or_default(),
            host: host(),
            lasts: delay_ms(lasts),
        };
        Self { first, kinds: kinds.map_or_else(|| vec![EVERY_KIND.to_owned()], |kinds| kinds.stored()) }
    }

    /// The stored form.
    pub(crate) fn stored(&self) -> String {
        // Numbers and strings always serialise.
        let mut text = serde_json::to_string(&self.first).unwrap_or_default();
        text.push('\n');
        for kind in &self.kinds {
            text.push_str(kind);
            text.push('\n');
        }
        text
    }
}

impl WorkerSeen {
    /// Reads the stored form; `None` for another form.
    fn read(name: &str, until: i64, text: &str) -> Option<Self> {
        let (first, kinds) = text.split_once('\n')?;
        let FirstLine { slots, build, host, lasts } = serde_json::from_str(first).ok()?;
        let kind = |line: &str| {
            let (version, kind) = line.split_once('|')?;
            Some((decode(kind), version.parse().ok()?))
        };
        let runs_every_kind = kinds.lines().any(|line| line == EVERY_KIND);
        Some(Self {
            name: name.to_owned(),
            told_at: until.saturating_sub(i64::try_from(lasts).unwrap_or(i64::MAX)),
            slots,
            build,
            host,
            kinds: (!runs_every_kind).then(|| kinds.lines().filter_map(kind).collect()),
        })
    }

    /// Whether the worker runs a kind.
    pub fn runs(&self, kind: &str, version: u32) -> bool {
        let of = |kinds: &BTreeSet<(String, u32)>| {
            kinds.iter().any(|(name, number)| name == kind && *number == version)
        };
        self.kinds.as_ref().is_none_or(of)
    }
}

impl Workers {
    /// Whether one of them runs a kind.
    pub fn run(&self, kind: &str, version: u32) -> bool {
        self.seen.iter().any(|worker| worker.runs(kind, version))
    }
}

impl Client {
    /// The workers of the queue that told of themselves lately. The cost grows with their number.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn workers(&self) -> Result<Workers, Error> {
        let call = Call::new(&scripts::WORKERS, &self.keys);
        let mut reply: Vec<Value> = call.run(&mut self.conn.clone()).await?;
        let rest = Value::Array(reply.split_off(reply.len().min(2)));
        let count = reply.pop().map(u64::from_redis_value).transpose().map_err(RedisError::from)?;
        type Each = Vec<(String, i64, String)>;
        let each = Each::from_redis_value(rest).map_err(RedisError::from)?;
        let read = |(name, until, facts): &(String, i64, String)| WorkerSeen::read(name, *until, facts);
        Ok(Workers { count: count.unwrap_or(0), seen: each.iter().filter_map(read).collect() })
    }
}

/// The name of this machine; empty where the system does not say.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{job::flow::stored_kind, policy::kinds::Kinds};

    proptest! {
        #[test]
        fn what_a_worker_tells_is_read_back(
            known in prop::option::of(prop::collection::btree_set(("\\PC{1,9}|[\\x01-\\x7f]{1,9}", any::<u32>()), 0..5)),
            build in "[\\x00-\\x7f]{0,9}",
            slots in 1_usize..1_000,
        ) {
            let kinds = known.clone().map(|known| Kinds { known, build: build.clone() });
            let options = WorkerOptions { kinds, concurrency: slots, ..WorkerOptions::new("q".parse().unwrap()) };
            let stored = Facts::new(&options, Duration::from_secs(18)).stored();
            let read = WorkerSeen::read("w", 118_000, &stored).unwrap();
            prop_assert_eq!(read.told_at, 100_000);
            prop_assert_eq!(read.slots as usize, slots);
            prop_assert_eq!(&read.kinds, &known);
            for (kind, version) in known.iter().flatten() {
                prop_assert!(read.runs(kind, *version));
                // The script looks for such a line.
                let line = format!("\n{}\n", stored_kind(kind, *version));
                prop_assert!(stored.contains(&line));
            }
            prop_assert_eq!(read.runs("another kind", 1), known.is_none());
        }
    }
}
