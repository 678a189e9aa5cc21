//! Runs a job without Redis.

mod record;

use std::{
    any::Any, collections::BTreeMap, marker::PhantomData, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures::FutureExt;
use serde_json::Value;
use upshot_executor::{Context, Job};
use upshot_queue::{
    Answer, Condition, Failure, JobId, NewJob, QueueName, WorkerOptions,
    worker::{Detached, MAX_OUTCOME},
};

use crate::{
    faults::{Crash, Fault},
    run::{Ended, Run},
};
use record::{Record, Written};

/// When the job of a trial is enqueued, UTC ms: 2026-01-01.
const START: i64 = 1_767_225_600_000;

/// A job that is tried without Redis. Each [`Trial::run`] is one attempt; a later one finds the
/// steps that an earlier one completed.
pub struct Trial<T: Job> {
    state: Arc<T::State>,
    job: NewJob,
    queue: QueueName,
    attempts: u64,
    kept: Written,
    /// How waits ended, by the stored form of each condition.
    answers: BTreeMap<String, Answer>,
    fault: Option<(usize, Fault)>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Job> std::fmt::Debug for Trial<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("job", &self.job)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl<T: Job> Trial<T> {
    /// A job with these arguments, whose handler has this state.
    #[expect(clippy::needless_pass_by_value, reason = "the arguments are written as a literal")]
    pub fn new(args: Value, state: T::State) -> Self {
        let mut job = NewJob::new(JobId::derive(&["trial", T::KIND]), T::KIND, args.to_string());
        job.version = T::VERSION;
        Self {
            state: Arc::new(state),
            job,
            queue: "trial".parse().expect("a queue's name"),
            attempts: 0,
            kept: Written { now: START, ..Written::default() },
            answers: BTreeMap::new(),
            fault: None,
            kind: PhantomData,
        }
    }

    /// Changes what else is said of the job: its subject, tenant, labels.
    #[must_use]
    pub fn job(mut self, change: impl FnOnce(&mut NewJob)) -> Self {
        change(&mut self.job);
        self
    }

    /// The state of the handler, to look at what it did.
    pub fn state(&self) -> &T::State {
        &self.state
    }

    /// Moves the clock that [`Context::now`] shows.
    pub fn advance(&mut self, time: Duration) -> &mut Self {
        self.kept.now += i64::try_from(time.as_millis()).expect("a time that can be counted");
        self
    }

    /// The next attempt crashes after its n-th write, counted from 1.
    pub fn crash_after(&mut self, n: usize) -> &mut Self {
        self.after(n, Fault::Crash)
    }

    /// The next attempt crashes right before its n-th write: what happened in front of it, such as
    /// a step's effect, has happened.
    pub fn crash_before(&mut self, n: usize) -> &mut Self {
        self.after(n, Fault::CrashBefore)
    }

    /// Another worker has the job from the n-th write of the next attempt on.
    pub fn lose_lease_after(&mut self, n: usize) -> &mut Self {
        self.after(n, Fault::LoseLease)
    }

    /// The worker begins to stop after the n-th write of the next attempt.
    pub fn stop_after(&mut self, n: usize) -> &mut Self {
        self.after(n, Fault::Stop)
    }

    /// An operator cancels the job after the n-th write of the next attempt.
    pub fn cancel_after(&mut self, n: usize) -> &mut Self {
        self.after(n, Fault::Cancel)
    }

    /// The signal of this key to the job's tenant is there from the next attempt on
    /// ([`Context::wait_for`]). The first one stays.
    ///
    /// # Panics
    /// When the key cannot be used.
    pub fn signal(&mut self, key: &str, payload: Value) -> &mut Self {
        self.answer(key, Some(payload))
    }

    /// From the next attempt on the wait for this key has run out of time.
    ///
    /// # Panics
    /// When the key cannot be used.
    pub fn time_out(&mut self, key: &str) -> &mut Self {
        self.answer(key, None)
    }

    fn answer(&mut self, key: &str, payload: Option<Value>) -> &mut Self {
        let condition = Condition::new(self.job.tenant.as_deref(), key);
        let condition = condition.unwrap_or_else(|why| panic!("no signal of this key: {why}"));
        self.answers.entry(condition.stored()).or_insert(Answer { at: self.kept.now, payload });
        self
    }

    fn after(&mut self, n: usize, fault: Fault) -> &mut Self {
        self.fault = Some((n, fault));
        self
    }

    /// Runs one attempt.
    ///
    /// # Panics
    /// When the type cannot read the arguments.
    pub async fn run(&mut self) -> Run {
        let mut job = upshot_queue::Job::sample(&self.queue, self.job.clone(), START);
        job.attempts = self.attempts + 1;
        job.steps.clone_from(&self.kept.steps);
        job.begun.clone_from(&self.kept.begun);
        job.answers.clone_from(&self.answers);
        let args = serde_json::from_slice::<T>(&job.args)
            .unwrap_or_else(|error| panic!("the arguments are none of `{}`: {error}", T::KIND));
        let record = Arc::new(Record::default());
        *record.lock() = Written {
            now: self.kept.now,
            fault: self.fault.take(),
            steps: std::mem::take(&mut self.kept.steps),
            begun: std::mem::take(&mut self.kept.begun),
            enqueued: std::mem::take(&mut self.kept.enqueued),
            ..Written::default()
        };
        let detached = Detached::new(job, WorkerOptions::new(self.queue.clone()), record.clone());
        let lease = detached.lease();
        let _ = record.lease.set(detached);
        let cx = Context::new(lease, record.clone(), Arc::clone(&self.state), T::STEPS);
        let ended = match AssertUnwindSafe(cx.run(args.run(&cx))).catch_unwind().await {
            Ok(Ok(outcome)) => match serde_json::to_vec(&outcome) {
                Ok(json) if json.len() <= MAX_OUTCOME => Ended::Achieved(outcome),
                _ => Ended::Stopped(
                    Failure::permanent(format!("the outcome has more than {MAX_OUTCOME} bytes")).into(),
                ),
            },
            Ok(Err(stop)) => Ended::Stopped(stop),
            Err(payload) if payload.is::<Crash>() => Ended::Crashed,
            Err(payload) => Ended::Panicked(said(&*payload)),
        };
        // What puts a job off does not count.
        let counts = !matches!(&ended, Ended::Stopped(stop) if !stop.is_failure());
        self.attempts += u64::from(counts);
        let written = std::mem::take(&mut *record.lock());
        let run = Run {
            ended,
            steps: written.steps.iter().map(|step| (step.name.clone(), step.result.clone())).collect(),
            begun: written.begun.iter().map(|begun| begun.name.clone()).collect(),
            ran: written.ran,
            progress: written.progress,
            log: written.log,
            enqueued: written.enqueued.clone(),
        };
        self.kept = Written {
            now: written.now,
            steps: written.steps,
            begun: written.begun,
            enqueued: written.enqueued,
            ..Written::default()
        };
        run
    }
}

/// Runs a job as often as it writes, and each time crashes it before or after another write and
/// runs it again. `check` looks at each run that came to an end, and at its trial.
///
/// # Panics
/// Where `check` does, or when the job crashes again without having been asked to.
pub async fn crash_everywhere<T: Job>(make: impl Fn() -> Trial<T>, mut check: impl FnMut(&Trial<T>, &Run)) {
    for n in 1.. {
        for fault in [Fault::CrashBefore, Fault::Crash] {
            let mut trial = make();
            let run = trial.after(n, fault).run().await;
            if !run.crashed() {
                check(&trial, &run);
                return;
            }
            let again = trial.run().await;
            check(&trial, &again);
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
