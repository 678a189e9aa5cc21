//! The state of each lease, and what the leases of one worker share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::RedisError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    awaited::{Awaited, Effects},
    detached::Writes,
};
use crate::{
    job::{Change, Job, id::JobId},
    redis::connect::Outage,
    worker::{
        Worker, WorkerOptions,
        in_force::InForce,
        protocol::{Disposition, EndedAttempt, Write},
    },
};

/// What the leases of one worker share.
pub(in crate::worker) struct Leases {
    /// The worker's name, new with every backend, so that writes of an earlier worker are not
    /// mistaken for its own.
    pub(in crate::worker) worker: String,
    pub(in crate::worker) options: WorkerOptions,
    /// Fires for handlers when the worker begins to stop. They could fire it, and stop nothing.
    pub(super) stopping: CancellationToken,
    /// How many attempts have ended so far.
    pub(in crate::worker) finished: AtomicU64,
    /// For how long they held their slots, all told, in µs.
    pub(in crate::worker) held_us: AtomicU64,
    /// Whether it was said that steps cannot be stored.
    pub(super) steps: Outage,
    /// What the worker goes by.
    policy: RwLock<Arc<InForce>>,
    store: Store,
    held: Mutex<HashMap<JobId, Weak<LeaseState>>>,
}

/// Where leases are renewed, and their attempts write.
#[expect(clippy::large_enum_variant, reason = "a worker has one")]
pub(in crate::worker) enum Store {
    Redis {
        renewals: Worker,
        writes: Worker,
        /// Attempts that ended and are to be written.
        ended: mpsc::UnboundedSender<EndedAttempt>,
    },
    Detached(Arc<dyn Writes>),
}

impl Leases {
    pub(in crate::worker) fn new(
        worker: String,
        options: WorkerOptions,
        store: Store,
        stopping: CancellationToken,
    ) -> Self {
        let policy = RwLock::new(Arc::new(InForce::of_options(&options)));
        Self {
            worker,
            options,
            policy,
            stopping,
            finished: AtomicU64::new(0),
            held_us: AtomicU64::new(0),
            steps: Outage::default(),
            store,
            held: Mutex::default(),
        }
    }

    /// What the worker goes by now.
    pub(in crate::worker) fn policy(&self) -> Arc<InForce> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The worker goes by this from now on.
    pub(in crate::worker) fn follow(&self, policy: InForce) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, Weak<LeaseState>>> {
        // The map is whole after every statement that changes it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a lease. One that this worker held on the same job before is
    /// lost: Redis has given the job out again.
    pub(in crate::worker) fn hold(&self, lease: &Arc<LeaseState>) {
        let before = self.held().insert(lease.job.id.clone(), Arc::downgrade(lease));
        if let Some(before) = before.and_then(|before| before.upgrade()) {
            before.lose();
        }
    }

    /// Forgets a lease that ended, unless another one took its place. Its token does
    /// not tell which: a Redis that lost its last second gives the same one out again.
    fn forget(&self, lease: &LeaseState) {
        let mut held = self.held();
        if held.get(&lease.job.id).is_some_and(|known| std::ptr::eq(known.as_ptr(), lease)) {
            held.remove(&lease.job.id);
        }
    }

    /// Tells the handler of a job to stop, if it runs here.
    pub(in crate::worker) fn cancel(&self, id: &str) {
        let Ok(id) = id.parse::<JobId>() else { return };
        let held = self.held().get(&id).and_then(Weak::upgrade);
        if let Some(lease) = held {
            tracing::info!(job = %id, token = lease.token, "asked to stop: the job is cancelled");
            lease.cancelled.cancel();
        }
    }

    /// The leases that are held now, as far as is known.
    pub(in crate::worker) fn all(&self) -> Vec<Arc<LeaseState>> {
        // One that is dropped here as the last is forgotten, which asks for the same lock.
        let mut leases: Vec<_> = self.held().values().filter_map(Weak::upgrade).collect();
        leases.retain(|lease| !lease.lost.is_cancelled());
        leases
    }

    /// Hands back what has not started. A claim that is answered later looks at the stop after
    /// its leases were remembered.
    pub(in crate::worker) fn release_unstarted(&self) {
        for lease in self.all() {
            lease.release_unstarted();
        }
    }

    /// Renews at most 128 leases.
    pub(in crate::worker) async fn renew(&self, leases: &[Arc<LeaseState>]) -> Result<(), RedisError> {
        let asked = Instant::now();
        let Store::Redis { renewals, .. } = &self.store else {
            leases.iter().for_each(|lease| lease.extend(asked));
            return Ok(());
        };
        let named = leases.iter().map(|lease| (&lease.job.id, lease.token));
        let renewed = renewals.renew(&self.worker, self.options.lease, named).await?;
        for lease in leases {
            let is = |ids: &[String]| ids.iter().any(|id| id == lease.job.id.as_str());
            if is(&renewed.lost) {
                // An attempt that has just ended is missing too. Its own write settles it, and
                // losing it here changes nothing.
                tracing::debug!(job = %lease.job.id, token = lease.token, "lease lost");
                lease.lose();
            } else {
                lease.extend(asked);
                if is(&renewed.cancelled) {
                    lease.cancelled.cancel();
                }
            }
        }
        Ok(())
    }
}

/// The state of one lease.
pub(in crate::worker) struct LeaseState {
    pub(in crate::worker) job: Arc<Job>,
    pub(in crate::worker) token: u64,
    pub(in crate::worker) leases: Arc<Leases>,
    pub(in crate::worker) lost: CancellationToken,
    pub(in crate::worker) cancelled: CancellationToken,
    claimed: Instant,
    valid_until: Mutex<Instant>,
    /// The handler started, or never will.
    begun: AtomicBool,
    /// When the handler was started.
    began: OnceLock<Instant>,
    /// Effects without an answer yet.
    pub(super) effects: Effects,
    settled: AtomicBool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl LeaseState {
    pub(in crate::worker) fn new(
        job: Arc<Job>,
        leases: Arc<Leases>,
        claimed: Option<(Instant, OwnedSemaphorePermit)>,
    ) -> Self {
        let (claimed, slot) = claimed.map_or_else(|| (Instant::now(), None), |(at, slot)| (at, Some(slot)));
        Self {
            token: job.token,
            lost: CancellationToken::new(),
            cancelled: CancellationToken::new(),
            claimed,
            valid_until: Mutex::new(claimed + leases.options.lease),
            begun: AtomicBool::new(false),
            began: OnceLock::new(),
            effects: Effects::default(),
            settled: AtomicBool::new(false),
            _slot: slot,
            job,
            leases,
        }
    }

    /// Redis extended the lease by a call that was sent at `asked`.
    pub(in crate::worker) fn extend(&self, asked: Instant) {
        let until = asked + self.leases.options.lease;
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Notes that Redis reports the lease as lost.
    pub(in crate::worker) fn lose(&self) {
        self.settled.store(true, Ordering::Release);
        self.lost.cancel();
    }

    /// Reports how the attempt ended. Later reports are ignored.
    pub(in crate::worker) fn settle(&self, disposition: Disposition) {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.leases.forget(self);
            let held = self.claimed.elapsed().as_micros();
            self.leases.held_us.fetch_add(u64::try_from(held).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.leases.finished.fetch_add(1, Ordering::Relaxed);
            // Only what was achieved counts in the histograms of a route.
            let counts = matches!(disposition, Disposition::Succeed(_)) && self.job.expectation.is_some();
            let ended = EndedAttempt {
                clock: counts.then(|| self.job.clock(self.job.since)),
                id: self.job.id.clone(),
                token: self.token,
                flow: self.job.flow(),
                expectation: self.job.expectation,
                args: self.job.args.len(),
                disposition,
            };
            if let Store::Redis { ended: settling, .. } = &self.leases.store {
                // The receiver lives until the worker has closed. Afterwards the lease expires by
                // itself.
                let _ = settling.send(ended);
            }
        }
    }

    /// Notes the start of the handler. False if the job was handed back before.
    pub(in crate::worker) fn begin(&self) -> bool {
        let _ = self.began.set(Instant::now());
        !self.begun.swap(true, Ordering::AcqRel)
    }

    /// When the attempt reaches its time-out.
    pub(in crate::worker) fn ends(&self) -> Instant {
        *self.began.get_or_init(Instant::now) + self.timeout()
    }

    /// How long the attempt may run.
    pub(in crate::worker) fn timeout(&self) -> Duration {
        self.leases.options.timeout_of(&self.job.kind)
    }

    /// The effect with the longest wait.
    pub(in crate::worker) fn awaited(&self) -> Option<Awaited> {
        self.effects.last()
    }

    /// Hands the job back unless its handler has started. The handler then never starts.
    pub(in crate::worker) fn release_unstarted(&self) {
        if self.begin() {
            self.release(None);
        }
    }

    /// Hands the job back; the attempt does not count.
    pub(in crate::worker) fn release(&self, note: Option<String>) {
        self.settle(Disposition::Release { line: Change::of_attempt(&self.job, "released", note).line() });
    }

    /// Whether the lease is valid as far as this worker knows.
    pub(super) fn is_valid(&self) -> bool {
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now()
    }

    /// A write of the attempt. False when the lease is lost.
    pub(super) async fn write(&self, write: Write<'_>) -> Result<bool, RedisError> {
        match &self.leases.store {
            Store::Redis { writes, .. } => {
                writes.write(&self.leases.worker, &self.job.id, self.token, write).await
            }
            Store::Detached(writes) => Ok(!self.lost.is_cancelled() && writes.write(&self.job, write)),
        }
    }
}

impl Drop for LeaseState {
    fn drop(&mut self) {
        // The attempt ended without a report, so it never started.
        if !self.settled.load(Ordering::Acquire) {
            self.release(None);
        }
        self.leases.forget(self);
    }
}
