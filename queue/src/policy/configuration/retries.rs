//! The stored form of what follows from a failure.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::duration;
use crate::policy::{
    failure::FailureClass,
    retry::{RetryPolicy, Wait},
};

/// What follows from a failure.
#[derive(Serialize, Deserialize)]
pub(super) struct Retries {
    pub(super) retries: Budgets,
    pub(super) retry_for: BTreeMap<FailureClass, Patience>,
    pub(super) backoff: Backoff,
    #[serde(default)]
    pub(super) backoff_of: BTreeMap<FailureClass, Backoff>,
}

/// How many failures of each class a job survives.
#[derive(Serialize, Deserialize)]
pub(super) struct Budgets {
    transient: u32,
    throttled: u32,
    unclear: u32,
    timed_out: u32,
    crashed: u32,
}

/// How long a job survives failures of a class.
#[derive(Serialize, Deserialize)]
pub(super) struct Patience(#[serde(with = "duration")] Duration);

/// The wait before another attempt.
#[derive(Serialize, Deserialize)]
pub(super) struct Backoff {
    #[serde(with = "duration")]
    first: Duration,
    #[serde(with = "duration")]
    most: Duration,
    #[serde(with = "duration")]
    least: Duration,
}

impl From<&RetryPolicy> for Retries {
    fn from(policy: &RetryPolicy) -> Self {
        let RetryPolicy { transient, throttled, unclear, timed_out, crashed, .. } = *policy;
        Self {
            retries: Budgets { transient, throttled, unclear, timed_out, crashed },
            retry_for: policy.retry_for.iter().map(|(class, time)| (*class, Patience(*time))).collect(),
            backoff: policy.wait.into(),
            backoff_of: policy.waits.iter().map(|(class, wait)| (*class, (*wait).into())).collect(),
        }
    }
}

impl From<Retries> for RetryPolicy {
    fn from(stored: Retries) -> Self {
        let Budgets { transient, throttled, unclear, timed_out, crashed } = stored.retries;
        Self {
            transient,
            throttled,
            unclear,
            timed_out,
            crashed,
            retry_for: stored.retry_for.into_iter().map(|(class, Patience(time))| (class, time)).collect(),
            wait: stored.backoff.into(),
            waits: stored.backoff_of.into_iter().map(|(class, wait)| (class, wait.into())).collect(),
        }
    }
}

impl From<Wait> for Backoff {
    fn from(Wait { base, cap, floor }: Wait) -> Self {
        Self { first: base, most: cap, least: floor }
    }
}

impl From<Backoff> for Wait {
    fn from(Backoff { first, most, least }: Backoff) -> Self {
        Self { base: first, cap: most, floor: least }
    }
}
