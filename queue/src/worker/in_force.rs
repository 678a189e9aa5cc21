//! The policy in force for a worker: from its options, or from the configuration stored with the
//! queue.

use std::collections::HashMap;

use super::WorkerOptions;
use crate::{
    client::configuration::StoredConfiguration,
    job::flow::encode,
    policy::{
        configuration::{Configuration, Retention},
        priority::Shares,
        retry::{Crashes, RetryPolicy},
    },
};

/// The retries, shares and retention in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// Which version of the stored configuration, by its number and when it was stored; 0 for the
    /// worker's own options.
    pub(super) version: (u64, i64),
    retry: RetryPolicy,
    retry_by_kind: HashMap<String, RetryPolicy>,
    /// What becomes of jobs that lose their worker, and of those of kinds that differ.
    pub(super) crashes: Crashes,
    pub(super) crashes_by_kind: Vec<(String, Crashes)>,
    pub(super) shares: Shares,
    pub(super) keep: Retention,
}

impl InForce {
    fn new(
        version: (u64, i64),
        retry: RetryPolicy,
        retry_by_kind: HashMap<String, RetryPolicy>,
        shares: Shares,
        keep: Retention,
    ) -> Self {
        let crashes = retry.crashes();
        let of_kind = |(kind, retry): (&String, &RetryPolicy)| {
            let of_kind = retry.crashes();
            (of_kind != crashes).then(|| (encode(kind), of_kind))
        };
        let crashes_by_kind = retry_by_kind.iter().filter_map(of_kind).collect();
        Self { version, retry, crashes_by_kind, crashes, retry_by_kind, shares, keep }
    }

    /// What the options of a worker say: its seed, where it has one.
    pub(super) fn of_options(options: &WorkerOptions) -> Self {
        if let Some(seed) = &options.seed {
            return Self::of_configuration((0, 0), seed.clone());
        }
        let WorkerOptions { retry, retry_by_kind, shares, .. } = options;
        let keep = Retention {
            succeeded: options.keep_succeeded,
            dead: options.keep_dead,
            cancelled: options.keep_cancelled,
            signals: options.keep_signals,
            ..Retention::default()
        };
        Self::new((0, 0), retry.clone(), retry_by_kind.clone(), *shares, keep)
    }

    /// The policy of the stored configuration.
    pub(super) fn of_stored(stored: StoredConfiguration) -> Self {
        Self::of_configuration(stored.which(), stored.configuration)
    }

    fn of_configuration(version: (u64, i64), of: Configuration) -> Self {
        Self::new(version, of.retry, of.kinds.into_iter().collect(), of.shares, of.keep)
    }

    /// The retry policy of a kind.
    pub(super) fn retry_of(&self, kind: &str) -> &RetryPolicy {
        self.retry_by_kind.get(kind).unwrap_or(&self.retry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_worker_that_has_read_nothing_keeps_what_its_seed_keeps() {
        let day = Duration::from_secs(24 * 3600);
        let keep = Retention {
            succeeded: 90 * day,
            dead: 91 * day,
            cancelled: 92 * day,
            signals: 93 * day,
            ..Retention::default()
        };
        let seed = Configuration { keep, ..Configuration::default() };
        let name = "invoices".parse().unwrap();
        let options = WorkerOptions { seed: Some(seed), ..WorkerOptions::new(name) };
        assert_eq!(InForce::of_options(&options).keep, keep);
    }
}
