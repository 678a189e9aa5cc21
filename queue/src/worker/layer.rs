//! The middleware that watches an attempt and says how it ended.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use apalis_core::{error::BoxDynError, task::Task};
use futures::{FutureExt, future::BoxFuture};
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;
use tower::{Layer, Service};

use super::{claim::history_line, lease::Lease, settle::End};
use crate::{
    failure::{FailedAttempt, Failure, FailureClass},
    job::Job,
    retry::Decision,
};

/// Wraps the worker's handler: runs it as a task of its own, bounds its time,
/// catches its panic, drops it when the lease is lost, and settles the lease.
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

impl<S> Service<Task<Arc<Job>>> for SettleService<S>
where
    S: Service<Task<Arc<Job>>, Error = BoxDynError>,
    S::Response: Serialize + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> Self::Future {
        let lease = task.data().get::<Lease>().cloned();
        let attempt = self.inner.call(task);
        let Some(lease) = lease else {
            return async { Err("a job came without a lease: it was not claimed by this backend".into()) }
                .boxed();
        };
        // A task of its own, so that handlers use all cores; it is aborted when
        // the worker drops it.
        let watched = AbortOnDropHandle::new(tokio::spawn(watch(lease, attempt)));
        async move { watched.await.map_err(Into::into) }.boxed()
    }
}

async fn watch<F, T>(lease: Lease, attempt: F)
where
    F: Future<Output = Result<T, BoxDynError>>,
    T: Serialize,
{
    let bounded =
        tokio::time::timeout(lease.0.core.options.timeout, AssertUnwindSafe(attempt).catch_unwind());
    let result = tokio::select! {
        biased;
        () = lease.lost().cancelled() => return,
        // Dropping the lease hands the job back; the attempt does not count.
        () = lease.0.core.options.interrupt.cancelled() => return,
        result = bounded => result,
    };
    let failure = match result {
        Ok(Ok(Ok(outcome))) => match serde_json::to_string(&outcome) {
            Ok(outcome) => return lease.0.settle(End::Succeed(outcome)),
            Err(error) => Failure::permanent(format!("the outcome cannot be stored as JSON: {error}")),
        },
        Ok(Ok(Err(error))) => classify(&error),
        Ok(Err(panic)) => {
            Failure::new(FailureClass::Crashed, format!("the handler panicked: {}", said(&panic)))
        }
        Err(_) => Failure::new(
            FailureClass::TimedOut,
            format!("the attempt ran longer than {:?}", lease.0.core.options.timeout),
        ),
    };
    settle_failure(&lease, &failure);
}

/// A handler's error as a failure. One that is not a [`Failure`] counts as
/// transient: trying again is safe, giving up is not.
fn classify(error: &BoxDynError) -> Failure {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = at {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        at = error.source();
    }
    Failure::transient(error)
}

fn settle_failure(lease: &Lease, failure: &Failure) {
    let job = lease.job();
    let core = &lease.0.core;
    let earlier = job.failures.get(&failure.class).copied().unwrap_or(0);
    let line = history_line(&FailedAttempt {
        at: utc_ms(),
        attempt: job.attempts,
        class: failure.class,
        message: shorten(&failure.message),
        worker: Some(core.worker.clone()),
    });
    let class = failure.class;
    let end = match core.options.retry.draw(failure, earlier) {
        Decision::Retry(wait) => {
            tracing::warn!(job = %job.id, queue = %job.queue, attempt = job.attempts, %class, error = %failure.message, retry_in_ms = wait.as_millis() as u64, "attempt failed");
            End::Retry { delay_ms: wait.as_millis() as u64, class, line }
        }
        Decision::Bury => {
            tracing::error!(job = %job.id, queue = %job.queue, attempt = job.attempts, %class, error = %failure.message, "job is dead");
            End::Bury { class, line }
        }
    };
    lease.0.settle(end);
}

/// A message of at most 2,000 bytes, cut at a character.
fn shorten(message: &str) -> String {
    const MOST: usize = 2_000;
    if message.len() <= MOST {
        return message.to_owned();
    }
    let mut end = MOST;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", message.get(..end).unwrap_or_default())
}

fn said(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// The time for people's eyes; deadlines use Redis' clock.
pub(super) fn utc_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_below_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Failure);
        let error: BoxDynError = Box::new(Outer(Failure::permanent("no such customer")));
        assert_eq!(classify(&error), Failure::permanent("no such customer"));
        assert_eq!(classify(&"odd".into()).class, FailureClass::Transient);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let cut = shorten(&"ä".repeat(5_000));
        assert!(cut.len() <= 2_004 && cut.ends_with('…'));
    }
}
