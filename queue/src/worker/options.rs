//! What a worker may be told.

use std::{collections::HashMap, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::following::Following;
use crate::{
    job::id::QueueName,
    policy::{configuration::Configuration, kinds::Kinds, priority::Shares, retry::RetryPolicy},
};

/// The settings of one worker on one queue.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Which queue.
    pub queue: QueueName,
    /// Jobs that run at once in this worker.
    pub concurrency: usize,
    /// How long a lease lasts. It is renewed every third of it, and at least
    /// every second; a worker that is gone is noticed after at most this long.
    pub lease: Duration,
    /// How long one attempt may run.
    pub timeout: Duration,
    /// The same for kinds that may run for a shorter time only.
    pub timeout_by_kind: HashMap<String, Duration>,
    /// What follows from a failure.
    pub retry: RetryPolicy,
    /// The same for kinds that differ.
    pub retry_by_kind: HashMap<String, RetryPolicy>,
    /// What the less urgent classes get in any case.
    pub shares: Shares,
    /// What this worker can run; jobs of other kinds and versions are parked by its claims until
    /// a worker claims that runs them. `None`: everything.
    pub kinds: Option<Kinds>,
    /// How long a running handler may go on after its token said that the job is
    /// cancelled; then it is dropped.
    pub cancel_grace: Duration,
    /// How often an idle worker looks without having been woken.
    pub poll: Duration,
    /// How long a succeeded job is kept; also how long its id is found again
    /// by an enqueue.
    pub keep_succeeded: Duration,
    /// The same for a dead job.
    pub keep_dead: Duration,
    /// The same for a cancelled job.
    pub keep_cancelled: Duration,
    /// How long a signal is kept for jobs that wait for it later.
    pub keep_signals: Duration,
    /// The configuration that a queue without one gets. Where it is set, the worker follows the
    /// configuration that is stored with the queue, whatever the `keep_` fields, the
    /// retries and the shares say. `None`: the worker goes by its own options.
    pub seed: Option<Configuration>,
    /// Whether the worker goes by the stored configuration; it keeps this up to date.
    pub following: watch::Sender<Following>,
    /// Fires when a stop in good order begins: nothing more is claimed, what has not
    /// started is handed back, and running handlers are told
    /// ([`Lease::stopping`](super::Lease::stopping)). An apalis monitor tells its
    /// backends of a stop only when nothing runs any more; a worker that is stopped
    /// without this token notices it a moment later.
    pub stop: CancellationToken,
    /// Fires when running handlers are to be dropped and their jobs handed back,
    /// at the end of the grace of a stop. An apalis monitor that runs out of
    /// patience just drops its workers, and their jobs wait for the lease.
    pub interrupt: CancellationToken,
    /// Fires when a worker that stops is to end although Redis did not answer: what it could not
    /// write by then is abandoned, and its jobs wait for the lease. Without it a worker waits for
    /// as long as Redis is away.
    pub abandon: CancellationToken,
}

impl WorkerOptions {
    /// How long one attempt of a kind may run.
    pub(crate) fn timeout_of(&self, kind: &str) -> Duration {
        self.timeout_by_kind.get(kind).map_or(self.timeout, |of_kind| self.timeout.min(*of_kind))
    }

    /// The defaults for a queue.
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            concurrency: 16,
            lease: Duration::from_secs(6),
            timeout: Duration::from_secs(600),
            timeout_by_kind: HashMap::new(),
            retry: RetryPolicy::default(),
            retry_by_kind: HashMap::new(),
            shares: Shares::default(),
            kinds: None,
            cancel_grace: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            keep_succeeded: Duration::from_secs(7 * 24 * 3600),
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            keep_cancelled: Duration::from_secs(7 * 24 * 3600),
            keep_signals: Duration::from_secs(7 * 24 * 3600),
            seed: None,
            following: watch::Sender::default(),
            stop: CancellationToken::new(),
            interrupt: CancellationToken::new(),
            abandon: CancellationToken::new(),
        }
    }
}
