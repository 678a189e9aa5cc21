//! The right to run a job until a time, and the writes that it allows.

mod awaited;
mod detached;
mod held;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub(super) use awaited::Awaited;
pub use awaited::Awaits;
pub use detached::{Detached, Writes};
pub(super) use held::{LeaseState, Leases, Store};

use crate::{
    job::{
        Answer, Job, Progress,
        condition::Condition,
        truncate::{truncate, truncate_to},
    },
    redis::connect::{Backoff, Cause, told},
    worker::protocol::{MAX_OUTCOME, Write},
};

/// The part of a step's name that is shown.
fn name(step: &str) -> String {
    truncate_to(step, 200)
}

/// A write that was not made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The lease is lost: another worker runs the job, or ran it.
    #[error("the lease on job {0} is lost: another worker has it, this attempt must end")]
    Stale(crate::JobId),
    /// The result of a step is too large.
    #[error(
        "the result of step `{step}` has {bytes} bytes, and at most {MAX_OUTCOME} are kept: \
         store what is large elsewhere and return where it is"
    )]
    TooLarge {
        /// The step.
        step: String,
        /// How large.
        bytes: usize,
    },
    /// The value cannot be written as JSON.
    #[error("cannot be stored as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The right to run a job until a time. Every write of the attempt carries its fencing token; a
/// late write is refused and counted.
#[derive(Clone)]
pub struct Lease(pub(super) Arc<LeaseState>);

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("job", &self.0.job.id).field("token", &self.0.token).finish()
    }
}

impl Lease {
    /// The job at the time of the claim.
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

    /// Fires when an operator cancels the job. The handler should stop. It may still succeed; any
    /// other end counts as cancelled. After a grace the handler is dropped.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// Fires when the worker begins to stop, for all its leases at once, and stays fired. The
    /// handler may finish within the grace; after the grace it is dropped. A longer handler stops
    /// where little is lost, after a step, and returns [`Release`](crate::Release). Another worker
    /// then runs the job at once, and the attempt does not count.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.leases.stopping
    }

    /// Notes that the handler requested an effect that cannot be undone, and waits for its answer
    /// for at most `within`. Drop the guard when the answer is there.
    ///
    /// Until then the attempt may run longer than its time-out. If the attempt ends all the same
    /// (by the stop of the worker), it fails with the class
    /// [`Unclear`](crate::FailureClass::Unclear), and the failure says what may have happened
    /// (`what`).
    pub fn awaits(&self, within: Duration, what: impl std::fmt::Display) -> Awaits {
        self.0.effects.begin(within, what.to_string())
    }

    /// The deadline for anything that the handler waits for: shortly before the attempt runs out of
    /// time, so that the handler can still report what it waited for.
    pub fn answer_by(&self) -> Instant {
        let timeout = self.0.timeout();
        let spare = (timeout / 10).min(Duration::from_secs(1));
        let ends = self.0.ends();
        ends.checked_sub(spare).unwrap_or(ends)
    }

    /// Checks that the lease is still held, and asks Redis if it may have expired (the process was
    /// stopped, Redis was away). Call it before an outside effect.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost.
    pub async fn verify(&self) -> Result<(), WriteError> {
        let mut backoff = Backoff::default();
        loop {
            if self.0.lost.is_cancelled() {
                return Err(WriteError::Stale(self.0.job.id.clone()));
            }
            if self.0.is_valid() {
                return Ok(());
            }
            if self.0.leases.renew(std::slice::from_ref(&self.0)).await.is_err() {
                backoff.wait().await;
            }
        }
    }

    /// Stores the job's progress and tells its watchers. Long texts are truncated.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost. While Redis is away, progress is dropped
    /// without an error, because a later report replaces it.
    pub async fn progress(&self, progress: &Progress) -> Result<(), WriteError> {
        let Progress { percent, step, message } = progress;
        let (step, message) = (step.as_deref().map(name), message.as_deref().map(truncate));
        let progress = Progress { percent: *percent, step, message };
        let value = serde_json::to_string(&progress)?;
        // One line of the timeline, without line feeds.
        let step = progress.step.as_deref().unwrap_or_default().replace('\n', " ");
        let mark = format!("{} {step}", progress.percent);
        match self.0.write(Write::Progress(&value, &mark)).await {
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
        let line = serde_json::to_string(&truncate(message))?;
        match self.0.write(Write::Log(&line)).await {
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

    /// How an earlier wait of the job for a condition ended; `None` while it has not.
    pub fn answer(&self, condition: &Condition) -> Option<&Answer> {
        self.0.job.answers.get(&condition.stored())
    }

    /// When an effect began that an earlier attempt left without a receipt, UTC ms; it may have
    /// happened.
    pub fn begun(&self, name: &str) -> Option<i64> {
        self.0.job.begun(name).map(|begun| begun.at)
    }

    /// Stores that an effect begins now. Waits while Redis is away.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost.
    pub async fn begin_effect(&self, name: &str) -> Result<(), WriteError> {
        self.store(name, Write::Begin(name, &self.0.job.args_digest())).await
    }

    /// Takes back that an effect began, because it was refused. Waits while Redis is away.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost.
    pub async fn refuse_effect(&self, name: &str) -> Result<(), WriteError> {
        self.store(name, Write::Refused(name)).await
    }

    /// Stores the result of a completed step, or the receipt of an effect. Waits while Redis is away,
    /// because a step that is done but not stored would run again.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the lease is lost; when the result is too large.
    pub async fn complete_step(&self, name: &str, result: &serde_json::Value) -> Result<(), WriteError> {
        let value = serde_json::to_string(result)?;
        if value.len() > MAX_OUTCOME {
            return Err(WriteError::TooLarge { step: self::name(name), bytes: value.len() });
        }
        self.store(name, Write::Step(name, &value, &self.0.job.args_digest())).await
    }

    /// Writes what must not be lost, and waits while Redis is away.
    async fn store(&self, step: &str, write: Write<'_>) -> Result<(), WriteError> {
        let mut backoff = Backoff::default();
        loop {
            match self.0.write(write).await {
                Ok(true) => {
                    if self.0.leases.steps.ends() {
                        tracing::info!(queue = %self.0.job.queue, "storing steps works again");
                    }
                    return Ok(());
                }
                Ok(false) => return Err(self.stale()),
                Err(error) => {
                    if self.0.leases.steps.begins(Cause::of(&error)) {
                        let why = told(&error);
                        tracing::warn!(job = %self.0.job.id, step, %why, "steps not stored yet");
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    fn stale(&self) -> WriteError {
        metrics::counter!("job_queue_refused_total", "queue" => self.0.job.queue.to_string()).increment(1);
        self.0.lose();
        WriteError::Stale(self.0.job.id.clone())
    }

    /// How long the lease lasts without a renewal.
    pub fn duration(&self) -> Duration {
        self.0.leases.options.lease
    }
}
