//! What a handler can use while it runs a job.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use upshot_queue::{
    Condition, Failure, FailureClass, Job, JobId, Lease, Park, Progress, Release, Stop, worker::WriteError,
};

use crate::{
    child::Child,
    host::{EnqueueError, Host},
};

/// How a wait for a signal ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Waited {
    /// The signal came, with this payload.
    Signalled(Value),
    /// No signal came in time.
    TimedOut,
}

/// One attempt at a job, for its handler. `S` is the state that all jobs of the handler share.
pub struct Context<S> {
    lease: Lease,
    host: Arc<dyn Host>,
    state: Arc<S>,
    steps: &'static [&'static str],
    /// Steps and children that this attempt has named.
    named: Mutex<BTreeSet<(&'static str, String)>>,
    percent: AtomicU8,
}

impl<S> std::fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("job", &self.job().id).finish_non_exhaustive()
    }
}

impl<S> Context<S> {
    /// The context of the attempt that has this lease. `steps` are those of
    /// [`Job::STEPS`](crate::Job::STEPS).
    pub fn new(lease: Lease, host: Arc<dyn Host>, state: Arc<S>, steps: &'static [&'static str]) -> Self {
        Self { lease, host, state, steps, named: Mutex::default(), percent: AtomicU8::new(0) }
    }

    /// The state of the handler.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The job at the start of the attempt.
    pub fn job(&self) -> &Job {
        self.lease.job()
    }

    /// The arguments, exactly as published.
    pub fn args(&self) -> &Bytes {
        &self.lease.job().args
    }

    /// The lease, for tools that bound their work by it.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Runs a step, or returns what it returned in an earlier attempt.
    ///
    /// The result is stored with the job when the step completes. A crash is possible between the
    /// step's effect and the storing. So a step with an outside effect must find out by itself
    /// whether an earlier attempt got that far.
    ///
    /// # Errors
    /// The step's own error. A permanent failure when the attempt runs a step with the same name
    /// twice, or when the result cannot be stored or read.
    pub async fn step<T, E, F>(&self, name: &str, step: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.name("step", name)?;
        if let Some(stored) = self.lease.step(name).cloned() {
            return serde_json::from_value(stored).map_err(|error| {
                Failure::permanent(format!("the stored result of step `{name}` cannot be read: {error}"))
                    .into()
            });
        }
        self.begins(name).await?;
        // A process that was stopped for long must not act on an old lease.
        self.lease.verify().await.map_err(over)?;
        let result = step().await.map_err(|error| {
            self.unname("step", name);
            error.into()
        })?;
        let value = serde_json::to_value(&result).map_err(|error| {
            Failure::permanent(format!("the result of step `{name}` cannot be written as JSON: {error}"))
        })?;
        self.lease.complete_step(name, &value).await.map_err(over)?;
        tracing::debug!(step = name, "step completed");
        Ok(result)
    }

    /// Hands the job back when the worker stops or the job is cancelled. A long handler calls it
    /// between its parts. Another worker then continues at once, and the attempt does not count.
    ///
    /// # Errors
    /// [`Stop::Released`], to be returned with `?`.
    pub fn checkpoint(&self) -> Result<(), Stop> {
        let why = if self.cancelled().is_cancelled() {
            "the job is cancelled"
        } else if self.stopping().is_cancelled() {
            "the worker stops"
        } else {
            return Ok(());
        };
        Err(Release::new(why).into())
    }

    /// Reports the job's progress to its watchers.
    ///
    /// # Errors
    /// When another worker has the job. While Redis is away, progress is dropped without an error.
    pub async fn progress(&self, percent: u8, message: impl Into<String>) -> Result<(), Stop> {
        let percent = percent.min(100);
        self.percent.store(percent, Ordering::Relaxed);
        let progress = Progress { percent, step: None, message: Some(message.into()) };
        self.lease.progress(&progress).await.map_err(over)
    }

    /// Adds a line to the job's log. The newest lines are kept, 2,000 bytes of each.
    ///
    /// # Errors
    /// As [`Self::progress`].
    pub async fn log(&self, line: impl AsRef<str>) -> Result<(), Stop> {
        self.lease.log(line.as_ref()).await.map_err(over)
    }

    /// Waits for the signal with this key for the job's tenant (`upshot signal`). The wait lasts at
    /// most `within`, counted from the first time that the job waits for the key. A waiting job is
    /// parked: it holds no slot and uses up no attempt. Afterwards the job runs from its beginning,
    /// except for completed steps, and this call returns how the wait ended, in every later attempt
    /// too. It also finds a signal that came before.
    ///
    /// The key must name what is approved, with its version or amount, not only the job's subject.
    /// The answer stays with the job when an operator retries it with other arguments, so a key such
    /// as `loan-7 approved` would approve these too; `loan-7 of 5000 EUR approved` does not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use upshot_executor::{Context, Stop, context::Waited};
    ///
    /// # struct Shop;
    /// async fn confirmed(cx: &Context<Shop>, order: &str) -> Result<bool, Stop> {
    ///     let day = Duration::from_secs(24 * 3600);
    ///     match cx.wait_for(&format!("{order} confirmed"), day).await? {
    ///         Waited::Signalled(payload) => Ok(payload["confirmed"] == true),
    ///         Waited::TimedOut => Ok(false),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Stop::Parked`], to be returned with `?`, while no signal came and there is time; a
    /// permanent failure when the key cannot be used.
    pub async fn wait_for(&self, key: &str, within: Duration) -> Result<Waited, Stop> {
        let condition = Condition::new(self.job().tenant.as_deref(), key).map_err(Failure::permanent)?;
        match self.answer(key)? {
            Some(waited) => Ok(waited),
            None => {
                // This attempt must still hold its lease.
                self.lease.verify().await.map_err(over)?;
                Err(Park::wait(condition, within, "no signal has come").into())
            }
        }
    }

    /// How an earlier wait for the signal with this key ended, without waiting: of
    /// [`Self::wait_for`], or of an outcome that awaited its confirmation
    /// ([`Outcome::awaiting`](upshot_shared::Outcome::awaiting)). `None` while there was none.
    ///
    /// # Errors
    /// A permanent failure when the key cannot be used.
    pub fn answer(&self, key: &str) -> Result<Option<Waited>, Stop> {
        let condition = Condition::new(self.job().tenant.as_deref(), key).map_err(Failure::permanent)?;
        let answer = self.lease.answer(&condition);
        Ok(answer.map(|answer| answer.payload.clone().map_or(Waited::TimedOut, Waited::Signalled)))
    }

    /// The time, UTC ms. A test moves it.
    pub fn now(&self) -> i64 {
        self.host.now()
    }

    /// Fires when the job is cancelled. The handler is dropped after a grace.
    pub fn cancelled(&self) -> &CancellationToken {
        self.lease.cancelled()
    }

    /// Fires when the worker begins to stop. The handler may finish within the grace.
    pub fn stopping(&self) -> &CancellationToken {
        self.lease.stopping()
    }

    /// Enqueues another job, and returns its id. A later attempt finds the same job.
    ///
    /// # Errors
    /// A transient failure when Redis does not take it. A permanent one when no settings name the
    /// queue, when the queue never takes such a job, or when this attempt enqueued a child of the
    /// same name and number already.
    pub async fn enqueue(&self, child: Child) -> Result<JobId, Stop> {
        let name = format!("{} {}", child.name, child.number);
        self.name("child", &name)?;
        // A process that was stopped for long must not act on an old lease.
        self.lease.verify().await.map_err(over)?;
        let queue = child.queue.clone().unwrap_or_else(|| self.job().queue.clone());
        let job = child.below(self.job());
        let id = job.id.clone();
        self.host.enqueue(&queue, job).await.map_err(|error| {
            self.unname("child", &name);
            match error {
                EnqueueError::UnknownQueue(_) | EnqueueError::Rejected(_) => Failure::permanent(error),
                EnqueueError::Queue(_) => Failure::transient(error),
            }
        })?;
        Ok(id)
    }

    /// Reports the start of a step, with the percentage of its position.
    async fn begins(&self, name: &str) -> Result<(), Stop> {
        if let Some(place) = self.steps.iter().position(|step| *step == name) {
            let percent = (place * 100 / self.steps.len()) as u8;
            self.percent.store(percent, Ordering::Relaxed);
        }
        let percent = self.percent.load(Ordering::Relaxed);
        let progress = Progress { percent, step: Some(name.to_owned()), message: None };
        self.lease.progress(&progress).await.map_err(over)
    }

    /// Frees a name, because the call had no effect.
    fn unname(&self, what: &'static str, name: &str) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).remove(&(what, name.to_owned()));
    }

    fn name(&self, what: &'static str, name: &str) -> Result<(), Failure> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.insert((what, name.to_owned())) {
            return Ok(());
        }
        let remedy = if what == "step" { "give each step a name of its own" } else { "give each a number" };
        Err(Failure::permanent(format!("the {what} `{name}` comes twice in one attempt: {remedy}")))
    }
}

/// Converts a failed write into the end of the attempt.
fn over(error: WriteError) -> Stop {
    match error {
        // This error is not visible: the attempt is over.
        WriteError::Stale(_) => Failure::new(FailureClass::Crashed, error).into(),
        // The next attempt would write the same.
        WriteError::TooLarge { .. } | WriteError::Json(_) => Failure::permanent(error).into(),
    }
}
