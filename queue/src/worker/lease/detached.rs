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

/// Takes what an attempt under a detached lease writes.
pub trait Writes: Send + Sync + 'static {
    /// Takes a write. False refuses it as one of a stale lease.
    fn write(&self, job: &Job, write: Write<'_>) -> bool;
}

/// What a test can do to a detached lease.
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

    /// The lease, as a handler is given it.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Another worker has the job from now on: writes are refused, and
    /// [`Lease::lost`](super::Lease::lost) fires.
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
