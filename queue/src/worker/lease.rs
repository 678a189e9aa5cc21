//! The right to run a job until a time, and the writes that it allows.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::RedisError;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{core::Core, layer::MAX_OUTCOME, renew};
use crate::{
    job::{
        Change, Job, Progress,
        shorten::{shorten, shorten_to},
    },
    redis::connect::{Backoff, Cause, told},
    worker::protocol::{End, Ended, Write},
};

/// The name of a step, as far as people are shown it.
fn name(step: &str) -> String {
    shorten_to(step, 200)
}

/// A write that was not made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The lease is no longer ours; somebody else runs the job, or did.
    #[error("the lease on job {0} is lost: another worker has it, this attempt must end")]
    Stale(crate::JobId),
    /// The result of a step is larger than what is kept with a job.
    #[error(
        "the result of step `{step}` has {bytes} bytes, and at most {MAX_OUTCOME} are kept: \
         store what is large elsewhere and return where it is"
    )]
    TooLarge {
        /// Which step.
        step: String,
        /// How large.
        bytes: usize,
    },
    /// What was to be stored cannot be written as JSON.
    #[error("cannot be stored as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The right to run a job until a time. Every write of the attempt carries its
/// fencing token; a late one is refused and counted.
#[derive(Clone)]
pub struct Lease(pub(super) Arc<LeaseState>);

pub(super) struct LeaseState {
    pub(super) job: Arc<Job>,
    pub(super) token: u64,
    pub(super) core: Arc<Core>,
    pub(super) lost: CancellationToken,
    pub(super) cancelled: CancellationToken,
    claimed: Instant,
    valid_until: Mutex<Instant>,
    /// The handler was started, or never will be.
    begun: AtomicBool,
    /// When the handler was started.
    began: OnceLock<Instant>,
    /// An effect whose answer the handler waits for, the newest last.
    awaited: Mutex<Vec<Awaited>>,
    settled: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl LeaseState {
    pub(super) fn new(job: Arc<Job>, core: Arc<Core>, claimed: Instant, place: OwnedSemaphorePermit) -> Self {
        Self {
            token: job.token,
            lost: CancellationToken::new(),
            cancelled: CancellationToken::new(),
            claimed,
            valid_until: Mutex::new(claimed + core.options.lease),
            begun: AtomicBool::new(false),
            began: OnceLock::new(),
            awaited: Mutex::default(),
            settled: AtomicBool::new(false),
            _place: place,
            job,
            core,
        }
    }

    /// Redis extended the lease by a call that was sent at `asked`.
    pub(super) fn extend(&self, asked: Instant) {
        let until = asked + self.core.options.lease;
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Redis says that the lease is no longer ours.
    pub(super) fn lose(&self) {
        self.settled.store(true, Ordering::Release);
        self.lost.cancel();
    }

    /// Says how the attempt ended, once; what follows is ignored.
    pub(super) fn settle(&self, end: End) {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.core.forget(self);
            let held = self.claimed.elapsed().as_micros();
            self.core.held_us.fetch_add(u64::try_from(held).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.core.finished.fetch_add(1, Ordering::Relaxed);
            let ended = Ended {
                id: self.job.id.clone(),
                token: self.token,
                flow: self.job.flow(),
                args: self.job.args.len(),
                end,
            };
            // The receiver lives until the worker has closed; after that the
            // lease runs out by itself.
            let _ = self.core.ended.send(ended);
        }
    }
}

/// An effect that was asked for and not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Awaited {
    id: u64,
    /// How long its answer is waited for.
    pub(super) until: Instant,
    /// What may have happened.
    pub(super) what: String,
}

/// Says, while it lives, that an effect was asked for and not answered yet
/// ([`Lease::awaits`]).
#[must_use = "the effect counts as answered when this is dropped"]
pub struct Awaits(Arc<LeaseState>, u64);

impl std::fmt::Debug for Awaits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Awaits").field("job", &self.0.job.id).finish()
    }
}

impl Drop for Awaits {
    fn drop(&mut self) {
        let mut awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|each| each.id != self.1);
    }
}

impl LeaseState {
    /// The handler starts now. False when the job was handed back before.
    pub(super) fn begin(&self) -> bool {
        let _ = self.began.set(Instant::now());
        !self.begun.swap(true, Ordering::AcqRel)
    }

    /// When the attempt has run for as long as it may.
    pub(super) fn ends(&self) -> Instant {
        *self.began.get_or_init(Instant::now) + self.core.options.timeout
    }

    /// The effect whose answer is waited for the longest.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.iter().max_by_key(|each| each.until).cloned()
    }

    /// Hands the job back unless its handler has started; it never will then.
    pub(super) fn release_unstarted(&self) {
        if self.begin() {
            self.release(None);
        }
    }

    /// Hands the job back; the attempt does not count.
    pub(super) fn release(&self, note: Option<String>) {
        self.settle(End::Release { line: Change::of_attempt(&self.job, "released", note).line() });
    }
}

impl Drop for LeaseState {
    fn drop(&mut self) {
        // Nobody said how it ended: it never started.
        if !self.settled.load(Ordering::Acquire) {
            self.release(None);
        }
        self.core.forget(self);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("job", &self.0.job.id).field("token", &self.0.token).finish()
    }
}

impl Lease {
    /// The job as it was when it was claimed.
    pub fn job(&self) -> &Arc<Job> {
        &self.0.job
    }

    /// The fencing token.
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// Fires when the lease is lost; the handler's future is dropped then.
    pub fn lost(&self) -> &CancellationToken {
        &self.0.lost
    }

    /// Fires when somebody cancelled the job: the handler should stop. It may
    /// still succeed; any other end is that of a cancelled job. After a grace it
    /// is dropped.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// Fires when the worker begins to stop, for all its leases at once, and stays fired. The
    /// handler may finish within the grace, at the end of which it is dropped. One that would
    /// take longer stops at a place where little is lost, after a step, and returns
    /// [`Release`](crate::Release): the job runs elsewhere at once, and the attempt does not
    /// count.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.core.stopping
    }

    /// Says that the outside world was asked for an effect that cannot be called back, and
    /// that its answer is waited for until `within` has passed. To be dropped when the answer
    /// is there.
    ///
    /// Until then the attempt may run longer than its time-out. What ends it all the same
    /// (the stop of the worker) makes it fail with the class
    /// [`Unclear`](crate::FailureClass::Unclear), and `what` may have happened stands in the
    /// failure.
    pub fn awaits(&self, within: Duration, what: impl std::fmt::Display) -> Awaits {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        // A wait beyond all clocks is as good as none.
        let until = now.checked_add(within).unwrap_or(now);
        let mut awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.push(Awaited { id, until, what: what.to_string() });
        Awaits(Arc::clone(&self.0), id)
    }

    /// Until when whatever the handler waits for should have answered: shortly before the
    /// attempt runs out of time, so that the handler can still say what it waited for.
    pub fn answer_by(&self) -> Instant {
        let timeout = self.0.core.options.timeout;
        let spare = (timeout / 10).min(Duration::from_secs(1));
        let ends = self.0.ends();
        ends.checked_sub(spare).unwrap_or(ends)
    }

    /// Makes sure that the lease is still ours, asking Redis when it may have
    /// run out meanwhile (the process was stopped, Redis was away). To be
    /// called before an effect that the outside world sees.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when it is not.
    pub async fn verify(&self) -> Result<(), WriteError> {
        let mut backoff = Backoff::default();
        loop {
            if self.0.lost.is_cancelled() {
                return Err(WriteError::Stale(self.0.job.id.clone()));
            }
            let until = *self.0.valid_until.lock().unwrap_or_else(PoisonError::into_inner);
            if until > Instant::now() {
                return Ok(());
            }
            if renew::renew(&self.0.core, std::slice::from_ref(&self.0)).await.is_err() {
                backoff.wait().await;
            }
        }
    }

    /// Stores how far the job is and tells those who watch. Long texts are cut.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost. A Redis that is away is no
    /// error: progress is dropped then, the next one tells more anyway.
    pub async fn progress(&self, progress: &Progress) -> Result<(), WriteError> {
        let Progress { percent, step, message } = progress;
        let (step, message) = (step.as_deref().map(name), message.as_deref().map(shorten));
        let progress = Progress { percent: *percent, step, message };
        let value = serde_json::to_string(&progress)?;
        // One line of the timeline: no line feeds.
        let step = progress.step.as_deref().unwrap_or_default().replace('\n', " ");
        let mark = format!("{} {step}", progress.percent);
        match self.write(Write::Progress(&value, &mark)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.stale()),
            Err(error) => {
                tracing::debug!(job = %self.0.job.id, %error, "progress not written");
                Ok(())
            }
        }
    }

    /// Adds a line to the job's log, which is kept with the job, capped: the newest
    /// lines, and 2,000 bytes of each.
    ///
    /// # Errors
    /// As [`Self::progress`].
    pub async fn log(&self, message: &str) -> Result<(), WriteError> {
        let line = serde_json::to_string(&shorten(message))?;
        match self.write(Write::Log(&line)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.stale()),
            Err(error) => {
                tracing::debug!(job = %self.0.job.id, %error, "log line not written");
                Ok(())
            }
        }
    }

    /// The stored result of a step that an earlier attempt completed with these arguments.
    pub fn step(&self, name: &str) -> Option<&serde_json::Value> {
        self.0.job.step(name)
    }

    /// Stores the result of a completed step. Waits for Redis while it is away:
    /// a step that was done but not stored would be done again.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost; when the result is too large.
    pub async fn complete_step(&self, name: &str, result: &serde_json::Value) -> Result<(), WriteError> {
        let value = serde_json::to_string(result)?;
        if value.len() > MAX_OUTCOME {
            return Err(WriteError::TooLarge { step: self::name(name), bytes: value.len() });
        }
        let digest = self.0.job.args_digest();
        let mut backoff = Backoff::default();
        loop {
            match self.write(Write::Step(name, &value, &digest)).await {
                Ok(true) => {
                    if self.0.core.outages.steps.ends() {
                        tracing::info!(queue = %self.0.job.queue, "storing steps works again");
                    }
                    return Ok(());
                }
                Ok(false) => return Err(self.stale()),
                Err(error) => {
                    if self.0.core.outages.steps.begins(Cause::of(&error)) {
                        let why = told(&error);
                        tracing::warn!(job = %self.0.job.id, step = name, %why, "steps not stored yet");
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    fn stale(&self) -> WriteError {
        metrics::counter!("upshot_queue_refused_total", "queue" => self.0.job.queue.to_string()).increment(1);
        self.0.lose();
        WriteError::Stale(self.0.job.id.clone())
    }

    async fn write(&self, write: Write<'_>) -> Result<bool, RedisError> {
        let core = &self.0.core;
        core.writes.write(&core.worker, &self.0.job.id, self.0.token, write).await
    }

    /// How long the lease lasts without a renewal.
    pub fn duration(&self) -> Duration {
        self.0.core.options.lease
    }
}
