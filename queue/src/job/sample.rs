//! A job that no queue has, for tests of handlers.

use super::id::QueueName;
use super::{Expect, Expectation, Job, NewJob, state::State};
use crate::policy::account::Account;

impl Job {
    /// The job as its worker sees it at the first attempt, enqueued and claimed at `now` (UTC ms).
    ///
    /// A worker's job comes from Redis. This one is for tests without Redis, together with
    /// [`Detached`](crate::worker::Detached).
    pub fn sample(queue: &QueueName, job: NewJob, now: i64) -> Self {
        let expectation = |Expect { within, from, .. }: Expect| {
            let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
            Expectation { route: 1, due: from.unwrap_or(now).saturating_add(within), account: Account::Open }
        };
        Self {
            kind: job.kind,
            version: job.version,
            priority: job.priority,
            tenant: job.tenant,
            limit_keys: job.limit_keys,
            subject: job.subject,
            trace: job.trace,
            labels: job.labels,
            state: State::Running,
            enqueued_at: now,
            since: now,
            began: Some(now),
            expectation: job.expect.map(expectation),
            token: 1,
            attempts: 1,
            args: job.args,
            ..Self::empty(&job.id, queue)
        }
    }
}
