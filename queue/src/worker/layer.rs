//! The middleware that watches an attempt and reports how it ended.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::{error::BoxDynError, task::Task};
use futures::{FutureExt, future::BoxFuture};
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;
use tower::{Layer, Service};

use super::{
    lease::{Awaited, Lease},
    stop::{Await, Park, Release, Snooze, Stop, Undecodable},
};
use crate::{
    job::{Change, Job, truncate::truncate},
    policy::{
        failure::{FailedAttempt, Failure, FailureClass},
        fingerprint::normalise,
        retry::{Decision, Earlier},
    },
    redis::clock::utc_ms,
    worker::protocol::{Disposition, MAX_OUTCOME},
};

/// Wraps the worker's handler: runs it as a separate task, bounds its time, catches its panic,
/// drops it when the lease is lost, and settles the lease.
#[derive(Clone, Debug, Default)]
pub struct SettleLayer;

/// See [`SettleLayer`].
#[derive(Clone, Debug)]
pub struct SettleService<S> {
    inner: S,
}

impl<S> Layer<S> for SettleLayer {
    type Service = SettleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SettleService { inner }
    }
}

impl<S, T> Service<Task<Arc<Job>>> for SettleService<S>
where
    S: Service<Task<Arc<Job>>, Response = Result<T, Stop>, Error = BoxDynError>,
    T: Serialize + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> Self::Future {
        let Some(lease) = task.data().get::<Lease>().cloned() else {
            return async { Err("a job came without a lease: it was not claimed by this backend".into()) }
                .boxed();
        };
        if !lease.0.begin() {
            // The job was handed back when the stop began.
            return async { Ok(()) }.boxed();
        }
        let called = self.inner.call(task);
        // An error comes from apalis or a middleware. The handler's own end is in the response.
        let attempt = async move { called.await.unwrap_or_else(|error| Err(error.into())) };
        // A separate task, so that handlers use all cores. The task is aborted when the worker
        // drops it.
        let watched = AbortOnDropHandle::new(tokio::spawn(watch(lease, attempt)));
        async move { watched.await.map_err(Into::into) }.boxed()
    }
}

async fn watch<F, T>(lease: Lease, attempt: F)
where
    F: Future<Output = Result<T, Stop>>,
    T: Serialize,
{
    let options = &lease.0.leases.options;
    let attempt = AssertUnwindSafe(attempt).catch_unwind();
    tokio::pin!(attempt);
    let out_of_time = async {
        let mut until = lease.0.ends();
        loop {
            tokio::time::sleep_until(until.into()).await;
            // An effect that cannot be undone has its own limit.
            match lease.0.awaited() {
                Some(awaited) if awaited.until > until => until = awaited.until,
                _ => return,
            }
        }
    };
    let out_of_grace = async {
        lease.cancelled().cancelled().await;
        tokio::time::sleep(options.cancel_grace).await;
    };
    let result = tokio::select! {
        biased;
        () = lease.lost().cancelled() => return,
        // Explicit, because a renewal may still hold the lease.
        () = options.interrupt.cancelled() => return match lease.0.awaited() {
            Some(Awaited { what, .. }) => {
                let what = format!("{what}: the worker stopped before the answer came");
                lease.0.settle(failed(&lease, &Failure::unclear(what)));
            }
            None => lease.0.release(None),
        },
        result = &mut attempt => Ok(result),
        () = out_of_time => Err(lease.0.awaited()),
        () = out_of_grace => {
            let unclear = lease.0.awaited().map(|awaited| truncate(&awaited.what));
            return lease.0.settle(Disposition::Cancel { line: line(&lease, "cancelled", unclear) });
        }
    };
    let end = match result {
        Ok(Ok(Ok(outcome))) => match serde_json::to_string(&outcome) {
            Ok(outcome) if outcome.len() <= MAX_OUTCOME => Disposition::Succeed(outcome),
            Ok(outcome) => failed(&lease, &too_large(outcome.len())),
            Err(error) => {
                failed(&lease, &Failure::permanent(format!("the outcome cannot be stored as JSON: {error}")))
            }
        },
        // A cancelled job ends as cancelled, unless it succeeded.
        Ok(Ok(Err(stop @ Stop::Partial(_)))) => disposition(&lease, stop),
        result if lease.cancelled().is_cancelled() => {
            // The failure still names the effect that may have happened.
            let unclear = match &result {
                Ok(Ok(Err(Stop::Failed(failure)))) if failure.class == FailureClass::Unclear => {
                    Some(truncate(&failure.message))
                }
                Err(Some(awaited)) => Some(truncate(&awaited.what)),
                _ => None,
            };
            Disposition::Cancel { line: line(&lease, "cancelled", unclear) }
        }
        Ok(Ok(Err(stop))) => disposition(&lease, stop),
        Ok(Err(panic)) => {
            let what = format!("the handler panicked: {}", said(&panic));
            failed(&lease, &Failure::new(FailureClass::Crashed, what))
        }
        Err(Some(Awaited { what, .. })) => {
            let what = format!("{what}: no answer, and the attempt ran longer than {:?}", lease.0.timeout());
            failed(&lease, &Failure::unclear(what))
        }
        Err(None) => {
            let what = format!("the attempt ran longer than {:?}", lease.0.timeout());
            failed(&lease, &Failure::new(FailureClass::TimedOut, what))
        }
    };
    lease.0.settle(end);
}

/// What the end of a handler without an outcome means for its job.
///
/// Log lines name the job and not the handler's words, which may hold data of the arguments. The
/// job's history has the words.
fn disposition(lease: &Lease, stop: Stop) -> Disposition {
    match stop {
        Stop::Failed(failure) => failed(lease, &failure),
        Stop::Snoozed(Snooze { wait, why }) => {
            Disposition::Snooze { delay: wait, line: line(lease, "snoozed", Some(truncate(&why))) }
        }
        Stop::Released(Release { why }) => {
            Disposition::Release { line: line(lease, "released", Some(truncate(&why))) }
        }
        Stop::Parked(Park { condition, within, why }) => {
            let job = lease.job();
            tracing::info!(job = %job.id, queue = %job.queue, "job parked by its handler");
            let note = truncate(&format!("{condition}: {why}"));
            Disposition::Park {
                condition: condition.stored(),
                within,
                why: truncate(&why),
                line: line(lease, "parked", Some(note)),
            }
        }
        Stop::Partial(outcome) => {
            let outcome = outcome.to_string();
            if outcome.len() > MAX_OUTCOME {
                return failed(lease, &too_large(outcome.len()));
            }
            Disposition::Partly(outcome)
        }
        Stop::Awaiting(Await { outcome, condition, within, on_silence }) => {
            let outcome = outcome.to_string();
            if outcome.len() > MAX_OUTCOME {
                return failed(lease, &too_large(outcome.len()));
            }
            let job = lease.job();
            tracing::info!(job = %job.id, queue = %job.queue, "the work is done, and its proof is to come");
            Disposition::Await {
                line: line(lease, "awaiting", Some(condition.stored())),
                why: truncate(&format!("the work is done; its proof `{}` has not come", condition.key())),
                condition: condition.stored(),
                outcome,
                within,
                on_silence,
            }
        }
        Stop::Undecodable(Undecodable(why)) => {
            let job = lease.job();
            let kinds = lease.0.leases.options.kinds.clone().unwrap_or_default();
            tracing::error!(job = %job.id, queue = %job.queue, kind = job.kind, version = job.version, "arguments cannot be read: job parked until another build starts");
            let condition = kinds.condition_of_args(&job.kind, job.version, job.needed.as_deref());
            Disposition::Park {
                condition,
                within: None,
                why: truncate(&why),
                line: line(lease, "parked", Some(truncate(&why))),
            }
        }
    }
}

fn too_large(bytes: usize) -> Failure {
    Failure::permanent(format!(
        "the outcome has {bytes} bytes, and at most {MAX_OUTCOME} are kept: \
         store what is large elsewhere and return where it is"
    ))
}

/// A line of the history other than a failure.
fn line(lease: &Lease, did: &str, note: Option<String>) -> String {
    Change::of_attempt(lease.job(), did, note).line()
}

/// Decides what follows from a failure.
fn failed(lease: &Lease, failure: &Failure) -> Disposition {
    let job = lease.job();
    let now = utc_ms();
    let first = job.first_failures.get(&failure.class).copied().unwrap_or(now);
    let earlier = Earlier {
        count: job.failures.get(&failure.class).copied().unwrap_or(0),
        since: Duration::from_millis(u64::try_from(now.saturating_sub(first)).unwrap_or(0)),
    };
    let line = FailedAttempt {
        at: now,
        attempt: job.attempts,
        class: failure.class,
        message: truncate(&failure.message),
        worker: job.worker.clone(),
        began: job.began,
    }
    .line();
    let class = failure.class;
    let attempt = job.attempts;
    match lease.0.leases.policy().retry_of(&job.kind).draw(failure, earlier) {
        Decision::Retry(delay) => {
            tracing::warn!(job = %job.id, queue = %job.queue, attempt, %class, retry_in_ms = delay.as_millis() as u64, "attempt failed");
            Disposition::Retry { delay, class, normal: normalise(&failure.message), line }
        }
        Decision::Bury => {
            tracing::error!(job = %job.id, queue = %job.queue, attempt, %class, "job is dead");
            Disposition::Bury { class, normal: normalise(&failure.message), line }
        }
    }
}

fn said(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
