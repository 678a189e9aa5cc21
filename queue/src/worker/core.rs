//! What the loops of one worker share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::AtomicU64},
};

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{lease::LeaseState, options::WorkerOptions};
use crate::{
    client::{
        parking::Kinds,
        queue::{Error, Queue},
    },
    job::{flow::encode, id::JobId},
    policy::retry::{Crashes, RetryPolicy},
    redis::connect::{Connector, Outage},
    worker::protocol::Ended,
};

/// One worker's shared state.
pub(super) struct Core {
    /// The worker's name: new with every backend, so that nothing is mistaken
    /// for the work of one that is gone.
    pub(super) worker: String,
    pub(super) options: WorkerOptions,
    pub(super) connector: Connector,
    /// What becomes of jobs that lose their worker, and of those of kinds that differ.
    pub(super) crashes: Crashes,
    pub(super) crashes_by_kind: Vec<(String, Crashes)>,
    /// What this worker runs, as claims say it.
    pub(super) kinds: Option<Vec<String>>,
    /// A connection for each loop, so that a large claim delays no renewal.
    pub(super) claims: Queue,
    pub(super) settles: Queue,
    pub(super) renewals: Queue,
    pub(super) writes: Queue,
    /// Free places; a lease holds one of them.
    pub(super) places: Arc<Semaphore>,
    /// There may be work.
    pub(super) wake: Notify,
    /// Leases should be renewed now rather than later.
    pub(super) renew: Notify,
    /// Attempts that ended and are to be written.
    pub(super) ended: mpsc::UnboundedSender<Ended>,
    /// How many attempts have ended so far.
    pub(super) finished: AtomicU64,
    /// For how long they held their places, all told, in µs.
    pub(super) held_us: AtomicU64,
    /// No more claims, and nothing starts.
    pub(super) stop: CancellationToken,
    /// The same for handlers, who could fire this one and stop nothing.
    pub(super) stopping: CancellationToken,
    /// What its loops have said of Redis.
    pub(super) outages: Outages,
    held: Mutex<HashMap<JobId, Weak<LeaseState>>>,
}

/// Whether each loop has said that its calls fail.
#[derive(Debug, Default)]
pub(super) struct Outages {
    pub(super) claims: Outage,
    pub(super) settles: Outage,
    pub(super) renewals: Outage,
    pub(super) steps: Outage,
}

impl Core {
    pub(super) fn new(
        connector: &Connector,
        options: WorkerOptions,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Result<Self, Error> {
        let queue = || Queue::new(connector, options.queue.clone());
        // An answer that is lost must not cost the lease: two tries fit into it.
        let prompt = connector.with_response_timeout(options.lease / 3);
        let stop = CancellationToken::new();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let crashes = options.retry.crashes();
        let of_kind = |(kind, retry): (&String, &RetryPolicy)| {
            let of_kind = retry.crashes();
            (of_kind != crashes).then(|| (encode(kind), of_kind))
        };
        Ok(Self {
            crashes_by_kind: options.retry_by_kind.iter().filter_map(of_kind).collect(),
            crashes,
            kinds: options.kinds.as_ref().map(Kinds::stored),
            worker: format!("{}-{}", std::process::id(), id.get(..8).unwrap_or_default()),
            claims: queue()?,
            settles: queue()?,
            renewals: Queue::new(&prompt, options.queue.clone())?,
            writes: queue()?,
            places: Arc::new(Semaphore::new(options.concurrency)),
            wake: Notify::new(),
            renew: Notify::new(),
            ended,
            finished: AtomicU64::new(0),
            held_us: AtomicU64::new(0),
            stopping: stop.child_token(),
            stop,
            outages: Outages::default(),
            held: Mutex::new(HashMap::new()),
            connector: connector.clone(),
            options,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, Weak<LeaseState>>> {
        // The map is whole after every statement that changes it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a lease. One that this worker held on the same job before is
    /// lost: Redis has given the job out again.
    pub(super) fn hold(&self, lease: &Arc<LeaseState>) {
        let before = self.held().insert(lease.job.id.clone(), Arc::downgrade(lease));
        if let Some(before) = before.and_then(|before| before.upgrade()) {
            before.lose();
        }
    }

    /// Forgets a lease that ended, unless another one took its place. Its token does
    /// not tell which: a Redis that lost its last second gives the same one out again.
    pub(super) fn forget(&self, lease: &LeaseState) {
        let mut held = self.held();
        if held.get(&lease.job.id).is_some_and(|known| std::ptr::eq(known.as_ptr(), lease)) {
            held.remove(&lease.job.id);
        }
    }

    /// Tells the handler of a job to stop, if it runs here.
    pub(super) fn cancel(&self, id: &str) {
        let Ok(id) = id.parse::<JobId>() else { return };
        let held = self.held().get(&id).and_then(Weak::upgrade);
        if let Some(lease) = held {
            tracing::info!(job = %id, token = lease.token, "asked to stop: the job is cancelled");
            lease.cancelled.cancel();
        }
    }

    /// The leases that are held now, as far as is known.
    pub(super) fn leases(&self) -> Vec<Arc<LeaseState>> {
        // One that is dropped here as the last is forgotten, which asks for the same lock.
        let mut leases: Vec<_> = self.held().values().filter_map(Weak::upgrade).collect();
        leases.retain(|lease| !lease.lost.is_cancelled());
        leases
    }

    /// Hands back what has not started. Whoever claims more looks at `stop` after it was
    /// remembered.
    pub(super) fn release_unstarted(&self) {
        for lease in self.leases() {
            lease.release_unstarted();
        }
    }
}
