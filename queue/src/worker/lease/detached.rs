//! A lease without a worker and without Redis, for tests of handlers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    Lease,
    held::{LeaseState, Leases, Store},
};
use crate::{
    job::Job,
    worker::{WorkerOptions, protocol::Write},
};

/// Receives the writes of an attempt under a detached lease.
pub trait Writes: Send + Sync + 'static {
    /// Receives a write. False refuses it as stale.
    fn write(&self, job: &Job, write: Write<'_>) -> bool;
}

/// A test's controls of a detached lease.
#[derive(Clone, Debug)]
pub struct Detached {
    lease: Lease,
    stopping: CancellationToken,
}

impl Detached {
    /// The lease of a job that no worker claimed. Its writes go to `writes`; it lasts until
    /// [`Self::lose`].
    pub fn new(job: Job, options: WorkerOptions, writes: Arc<dyn Writes>) -> Self {
        let stopping = CancellationToken::new();
        let leases = Leases::new("detached".to_owned(), options, Store::Detached(writes), stopping.clone());
        let lease = Lease(Arc::new(LeaseState::new(Arc::new(job), Arc::new(leases), None)));
        Self { lease, stopping }
    }

    /// The lease for the handler.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Gives the job to another worker: writes are refused, and [`Lease::lost`](super::Lease::lost)
    /// fires.
    pub fn lose(&self) {
        self.lease.0.lose();
    }

    /// An operator cancels the job.
    pub fn cancel(&self) {
        self.lease.0.cancelled.cancel();
    }

    /// The worker begins to stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }
}
