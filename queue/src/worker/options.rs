//! The options of a worker.

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
    /// How long a lease lasts. It is renewed every third of it, and at least every second; after at
    /// most this long another worker notices that this one is gone.
    pub lease: Duration,
    /// How long one attempt may run.
    pub timeout: Duration,
    /// The same for kinds that may run for a shorter time only.
    pub timeout_by_kind: HashMap<String, Duration>,
    /// The retry policy.
    pub retry: RetryPolicy,
    /// The retry policy of single kinds.
    pub retry_by_kind: HashMap<String, RetryPolicy>,
    /// The guaranteed shares of the less urgent classes.
    pub shares: Shares,
    /// The kinds and versions that this worker runs. Its claims park other jobs for a worker that
    /// runs them. `None`: all kinds.
    pub kinds: Option<Kinds>,
    /// How long a running handler may continue after its job was cancelled; then it is dropped.
    pub cancel_grace: Duration,
    /// How often an idle worker claims without a wake-up.
    pub poll: Duration,
    /// How long a succeeded job is kept, and how long an enqueue finds its id.
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
    /// Fires when an orderly stop begins: claims end, jobs that have not started are handed back,
    /// and running handlers learn of the stop ([`Lease::stopping`](super::Lease::stopping)). An
    /// apalis monitor tells its backends of a stop only after the last handler. Without this token
    /// a worker notices the stop a moment later.
    pub stop: CancellationToken,
    /// Fires at the end of the grace of a stop: running handlers are dropped and their jobs handed
    /// back. Without it an apalis monitor drops its workers, and their jobs wait for the lease.
    pub interrupt: CancellationToken,
    /// Fires when a stopping worker must end although Redis did not answer. Unwritten ends are
    /// abandoned, and their jobs wait for the lease. Without it a worker waits while Redis is away.
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
