//! What a handler can use while it runs a job.
//!
//! | module | its one thing |
//! |---|---|
//! | [`compute`] | work that uses a processor for long, on threads of its own |
//! | [`effect`] | steps that change something outside, with a receipt |
//! | [`progress`] | at most four writes a second, the last report always |
//! | [`steps`] | which steps an attempt has used, and which are under way |

mod compute;
mod effect;
mod progress;
mod steps;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use upshot_queue::{
    Condition, Failure, FailureClass, Job, JobId, Lease, Park, Release, Stop, worker::WriteError,
};

pub use effect::Unclear;
use progress::Reporter;
use steps::{Open, Steps, Which};

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
    /// The names of the steps in order, for the percentage.
    order: &'static [&'static str],
    steps: Steps,
    /// Children that this attempt has named.
    children: Mutex<BTreeSet<String>>,
    reporter: Reporter,
}

impl<S> std::fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("job", &self.job().id).finish_non_exhaustive()
    }
}

impl<S> Context<S> {
    /// The context of the attempt that has this lease. `order` are the names of
    /// [`Job::STEPS`](crate::Job::STEPS).
    pub fn new(lease: Lease, host: Arc<dyn Host>, state: Arc<S>, order: &'static [&'static str]) -> Self {
        let (steps, children, reporter) = (Steps::default(), Mutex::default(), Reporter::default());
        Self { lease, host, state, order, steps, children, reporter }
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
    /// The result is stored with the job when the step completes, under the step's name. A step that
    /// comes again in the same attempt, as in a loop, is another step: the second, the third of its name.
    /// A crash is possible between the step and the storing. So a step that changes something outside is
    /// an [effect](Self::effect).
    ///
    /// Between two attempts the handler may change: an added step runs, a removed one leaves its result
    /// unused, a changed one keeps its stored result, and steps in another order find theirs (a warning
    /// says so). To discard a stored result on purpose, give the step another name.
    ///
    /// # Errors
    /// The step's own error. A permanent failure when the number cannot tell which step this is: one of
    /// the same name is under way or failed in this attempt, or steps overlap; when the job has 1,000
    /// steps already; or when the result cannot be stored or read.
    pub async fn step<T, E, F>(&self, name: &str, step: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.run_step(name, Which::Number, step).await
    }

    /// A step that the key tells from others of its name: for steps that run at the same time, and for
    /// loops over what may change between two attempts.
    ///
    /// # Errors
    /// Those of [`Self::step`].
    pub async fn step_keyed<T, E, F>(&self, name: &str, key: impl AsRef<str>, step: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.run_step(name, Which::Key(key.as_ref()), step).await
    }

    async fn run_step<T, E, F>(&self, name: &str, which: Which<'_>, step: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let open = self.steps.open(name, which)?;
        if let Some(found) = self.found(&open)? {
            open.done();
            return Ok(found);
        }
        self.begins(name).await?;
        // A process that was stopped for long must not act on an old lease.
        self.lease.verify().await.map_err(over)?;
        let result = Box::pin(step()).await.map_err(Into::into)?;
        self.complete(open, &result).await?;
        Ok(result)
    }

    /// The stored result of a step.
    fn found<T: DeserializeOwned>(&self, open: &Open<'_>) -> Result<Option<T>, Stop> {
        let name = &open.stored;
        let Some(stored) = self.lease.step(name).cloned() else { return Ok(None) };
        let at = self.job().steps.iter().find(|step| step.name == *name).map_or(0, |step| step.at);
        if let Some(earlier) = open.found(at) {
            tracing::warn!(
                step = name,
                "it was completed before step `{earlier}`, which comes first now: results are found by name. This is \
                 harmless where both run at the same time"
            );
        }
        serde_json::from_value(stored).map(Some).map_err(|error| {
            let why = format!(
                "the stored result of step `{name}` cannot be read: {error}; a step with another result needs \
                 another name"
            );
            Failure::permanent(why).into()
        })
    }

    /// Stores the result of a step.
    async fn complete<T: Serialize>(&self, open: Open<'_>, result: &T) -> Result<(), Stop> {
        let name = &open.stored;
        let value = serde_json::to_value(result).map_err(|error| {
            Failure::permanent(format!("the result of step `{name}` cannot be written as JSON: {error}"))
        })?;
        self.lease.complete_step(name, &value).await.map_err(over)?;
        tracing::debug!(step = name, "step completed");
        open.done();
        Ok(())
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

    /// Adds a line to the job's log. The newest lines are kept, 2,000 bytes of each.
    ///
    /// # Errors
    /// When another worker has the job. While Redis is away, the line is dropped without an error.
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
        if !self.children().insert(name.clone()) {
            let why = format!("the child `{name}` comes twice in one attempt: give each a number");
            return Err(Failure::permanent(why).into());
        }
        // A process that was stopped for long must not act on an old lease.
        self.lease.verify().await.map_err(over)?;
        let queue = child.queue.clone().unwrap_or_else(|| self.job().queue.clone());
        let job = child.below(self.job());
        let id = job.id.clone();
        self.host.enqueue(&queue, job).await.map_err(|error| {
            // The call had no effect.
            self.children().remove(&name);
            match error {
                EnqueueError::UnknownQueue(_) | EnqueueError::Rejected(_) => Failure::permanent(error),
                EnqueueError::Queue(_) => Failure::transient(error),
            }
        })?;
        Ok(id)
    }

    fn children(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Every statement leaves the set whole.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
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
