//! What the loops of one worker share.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Worker, WorkerOptions,
    clocks::Clocks,
    lease::{Leases, Store},
    protocol::EndedAttempt,
};
use crate::{
    client::handle::Client,
    error::Error,
    policy::kinds::Kinds,
    redis::connect::{Connector, Outage},
};

/// One worker's shared state.
pub(super) struct Core {
    pub(super) options: WorkerOptions,
    pub(super) connector: Connector,
    /// The kinds of this worker, in the form of claims.
    pub(super) kinds: Option<Vec<String>>,
    /// A connection for each loop, so that a large claim delays no renewal.
    pub(super) claims: Worker,
    pub(super) settles: Worker,
    pub(super) renewals: Worker,
    /// The leases that this worker holds.
    pub(super) leases: Arc<Leases>,
    /// How long the jobs that it ends spent in each stage.
    pub(super) clocks: Clocks,
    /// Free slots; a lease holds one of them.
    pub(super) slots: Arc<Semaphore>,
    /// There may be work.
    pub(super) wake: Notify,
    /// Fires when it is known what the worker goes by: nothing is claimed before.
    pub(super) configured: CancellationToken,
    /// There may be another version of the configuration.
    pub(super) reconfigure: Notify,
    /// Leases should be renewed now rather than later.
    pub(super) renew: Notify,
    /// The stop: no more claims, and nothing starts.
    pub(super) stop: CancellationToken,
    /// Which loops have logged that Redis fails.
    pub(super) outages: Outages,
}

/// Which loops have logged that their calls fail.
#[derive(Debug, Default)]
pub(super) struct Outages {
    pub(super) claims: Outage,
    pub(super) maintenance: Outage,
    pub(super) settles: Outage,
    pub(super) renewals: Outage,
    pub(super) configuration: Outage,
}

impl Core {
    pub(super) fn new(
        connector: &Connector,
        options: WorkerOptions,
        ended: mpsc::UnboundedSender<EndedAttempt>,
    ) -> Result<Self, Error> {
        let worker = |connector: &Connector| Client::new(connector, options.queue.clone()).map(Worker::new);
        // A lost reply must not cost the lease, so two attempts fit into it.
        let prompt = connector.with_response_timeout(options.lease / 3);
        if let Some(seed) = &options.seed {
            seed.check()?;
        }
        let stop = CancellationToken::new();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}-{}", std::process::id(), id.get(..8).unwrap_or_default());
        let renewals = worker(&prompt)?;
        let store = Store::Redis { renewals: renewals.clone(), writes: worker(connector)?, ended };
        Ok(Self {
            kinds: options.kinds.as_ref().map(Kinds::stored),
            claims: worker(connector)?,
            settles: worker(connector)?,
            renewals,
            leases: Arc::new(Leases::new(name, options.clone(), store, stop.child_token())),
            clocks: Clocks::default(),
            slots: Arc::new(Semaphore::new(options.concurrency)),
            wake: Notify::new(),
            configured: CancellationToken::new(),
            reconfigure: Notify::new(),
            renew: Notify::new(),
            stop,
            outages: Outages::default(),
            connector: connector.clone(),
            options,
        })
    }

    /// The worker's name.
    pub(super) fn worker(&self) -> &str {
        &self.leases.worker
    }
}
