//! Handlers by kind of job.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{self, Poll},
    time::{Duration, Instant},
};

use apalis_core::task::Task;
use futures::{FutureExt, future::BoxFuture};
use tower::Service;
use tracing::Instrument;
use upshot_queue::{Await, Condition, Failure, Job as StoredJob, Kinds, Lease, Stop, Undecodable};
use upshot_shared::{
    Outcome,
    intake::{LABEL_ID, LABEL_PARTS, LABEL_SOURCE},
    outcome::{PartsRule, Whole},
};

use crate::{context::Context, host::Host, job::Job};

type Run = Box<dyn Fn(Lease, Arc<dyn Host>) -> BoxFuture<'static, Result<Outcome, Stop>> + Send + Sync>;

/// The state that handlers share. It is set before the first job runs.
pub(crate) type Shared<S> = Arc<OnceLock<Arc<S>>>;

/// Handlers by kind and version.
#[derive(Default)]
pub struct Registry {
    handlers: BTreeMap<(&'static str, u32), Run>,
    /// How long an attempt may run, for kinds that say so.
    timeouts: HashMap<String, Duration>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

/// Two types for the same kind and version of job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two types do jobs of kind `{kind}` version {version}: give one of them another KIND, ALIASES or VERSION"
)]
pub struct Twice {
    kind: &'static str,
    version: u32,
}

impl Registry {
    /// Adds a type under its kind and its previous names.
    ///
    /// # Errors
    /// When another type has the kind and version.
    pub(crate) fn add<T: Job>(&mut self, state: &Shared<T::State>) -> Result<(), Twice> {
        for kind in std::iter::once(&T::KIND).chain(T::ALIASES) {
            let state = Arc::clone(state);
            let run: Run = Box::new(move |lease, host| run::<T>(lease, host, state.get().cloned()).boxed());
            if self.handlers.insert((kind, T::VERSION), run).is_some() {
                return Err(Twice { kind, version: T::VERSION });
            }
            if let Some(most) = T::TIMEOUT {
                // Among several versions the longest time-out decides.
                let known = self.timeouts.entry((*kind).to_owned()).or_insert(most);
                *known = most.max(*known);
            }
        }
        Ok(())
    }

    /// The kinds of a worker with these handlers. Jobs whose arguments this build cannot read wait
    /// for another build.
    pub fn kinds(&self, build: &str) -> Kinds {
        let known = self.handlers.keys().map(|(kind, version)| ((*kind).to_owned(), *version)).collect();
        Kinds { known, build: build.to_owned() }
    }

    /// How long an attempt may run, for kinds that say so.
    pub(crate) fn timeouts(&self) -> &HashMap<String, Duration> {
        &self.timeouts
    }

    /// The kinds that have a handler.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.keys().map(|(kind, _)| *kind)
    }

    fn find(&self, job: &StoredJob) -> Option<&Run> {
        let same = |kind: &str, version: u32| kind == job.kind && version == job.version;
        self.handlers.iter().find(|((kind, version), _)| same(kind, *version)).map(|(_, run)| run)
    }
}

/// Reads the arguments and runs the handler.
async fn run<T: Job>(
    lease: Lease,
    host: Arc<dyn Host>,
    state: Option<Arc<T::State>>,
) -> Result<Outcome, Stop> {
    let job = lease.job();
    let args = serde_json::from_slice::<T>(&job.args).map_err(|error| {
        // Without the error's own text, which may quote the value.
        let (line, column) = (error.line(), error.column());
        Undecodable(format!(
            "the arguments of {} version {} cannot be read: {:?} error at line {line}, column {column}",
            job.kind,
            job.version,
            error.classify()
        ))
    })?;
    let state = state.ok_or_else(|| {
        Failure::transient(format!("the state of {} is not set up: the executor has not started", job.kind))
    })?;
    let cx = Context::new(lease, host, state, T::STEPS);
    cx.run(args.run(&cx)).await
}

/// What an outcome means for its job.
fn conclude(job: &StoredJob, outcome: Outcome) -> Result<Outcome, Stop> {
    if !outcome.parts().is_empty() {
        // A rule that this build cannot read counts as the strictest one.
        let rule = job.labels.get(LABEL_PARTS).and_then(|rule| rule.parse().ok()).unwrap_or(PartsRule::All);
        return match rule.judge(outcome.parts()) {
            Whole::Achieved => Ok(outcome),
            Whole::Partial => Err(Stop::Partial(serde_json::to_value(&outcome).map_err(Failure::permanent)?)),
            Whole::Missed => Err(Failure::permanent(outcome.missed()).into()),
        };
    }
    let Some(confirm) = outcome.confirm() else {
        if outcome.evidence().is_empty() {
            let why = "the handler returned an outcome without parts: name at least one part";
            return Err(Failure::permanent(why).into());
        }
        return Ok(outcome);
    };
    let condition = Condition::new(job.tenant.as_deref(), &confirm.key).map_err(Failure::permanent)?;
    let (within, on_silence) = (confirm.within, confirm.on_silence);
    let outcome = serde_json::to_value(&outcome).map_err(Failure::permanent)?;
    Err(Await { outcome, condition, within, on_silence }.into())
}

/// Calls the handler of each job, in a span that names the job and its event.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) registry: Arc<Registry>,
    pub(crate) host: Arc<dyn Host>,
}

impl Service<Task<Arc<StoredJob>>> for Dispatch {
    type Response = Result<Outcome, Stop>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Result<Outcome, Stop>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Arc<StoredJob>>) -> Self::Future {
        let job = Arc::clone(&task.args);
        let (trace_id, parent_id) = trace_ids(job.trace.as_deref());
        let span = tracing::info_span!(
            "job",
            job_id = %job.id,
            kind = %job.kind,
            queue = %job.queue,
            attempt = job.attempts,
            subject = job.subject.as_deref().unwrap_or_default(),
            event_id = job.labels.get(LABEL_ID).map(String::as_str).unwrap_or_default(),
            event_source = job.labels.get(LABEL_SOURCE).map(String::as_str).unwrap_or_default(),
            trace_id,
            parent_id,
        );
        let (registry, host) = (Arc::clone(&self.registry), Arc::clone(&self.host));
        // No part of a handler runs before this future is polled. So a panic is caught with the
        // attempt and does not end the worker.
        async move {
            let started = Instant::now();
            tracing::debug!("started");
            let lease = task.data().get::<Lease>().cloned();
            let result = match (registry.find(&job), lease) {
                (Some(run), Some(lease)) => run(lease, host).await.and_then(|outcome| conclude(&job, outcome)),
                (Some(_), None) => Err("a job came without a lease: no worker of its queue claimed it".into()),
                // The worker parks such jobs before they get here.
                (None, _) => Err(Failure::permanent(format!(
                    "no handler for kind `{}` version {} here: deploy an executor that has one, then `upshot retry` the job",
                    job.kind, job.version
                ))
                .into()),
            };
            let seconds = started.elapsed().as_secs_f64();
            metrics::histogram!("upshot_executor_attempt_seconds", "kind" => job.kind.clone()).record(seconds);
            let ended = match &result {
                Ok(_) => "achieved",
                Err(Stop::Awaiting(_)) => "awaiting",
                Err(Stop::Partial(_)) => "partial",
                Err(stop) if stop.is_failure() => "failed",
                Err(_) => "put_off",
            };
            metrics::counter!("upshot_executor_attempts_total", "kind" => job.kind.clone(), "result" => ended).increment(1);
            if result.is_ok() {
                // Without the outcome's summary, which may hold data of the event.
                tracing::info!(ms = (seconds * 1000.0) as u64, "achieved");
            }
            Ok(result)
        }
        .instrument(span)
        .boxed()
    }
}

/// Trace and parent id of a W3C `traceparent` (Trace Context, section 3.2).
fn trace_ids(trace: Option<&str>) -> (&str, &str) {
    let mut parts = trace.unwrap_or_default().split('-').skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_apart() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_ids(Some(trace)), ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"));
        assert_eq!(trace_ids(Some("nonsense")), ("", ""));
        assert_eq!(trace_ids(None), ("", ""));
    }
}
