//! What an attempt may ask of the queue and write to it.
//!
//! A handler sees it through [`Context`](crate::Context). A worker runs attempts under a lease; the
//! test kit runs them without Redis.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use upshot_queue::{Job, Lease, NewJob, Progress, Queue, QueueName, worker::WriteError};

/// One attempt at a job.
pub trait Attempt: Send + Sync {
    /// The job as it was when the attempt began.
    fn job(&self) -> &Arc<Job>;
    /// The lease, where the attempt has one.
    fn lease(&self) -> Option<&Lease>;
    /// The result of a step that an earlier attempt completed with the same arguments.
    fn step(&self, name: &str) -> Option<Value>;
    /// Makes sure that the attempt may still act.
    fn verify(&self) -> BoxFuture<'_, Result<(), WriteError>>;
    /// Stores the result of a completed step.
    fn complete_step<'a>(&'a self, name: &'a str, result: &'a Value)
    -> BoxFuture<'a, Result<(), WriteError>>;
    /// Stores how far the job is.
    fn progress<'a>(&'a self, progress: &'a Progress) -> BoxFuture<'a, Result<(), WriteError>>;
    /// Adds a line to the job's log.
    fn log<'a>(&'a self, line: &'a str) -> BoxFuture<'a, Result<(), WriteError>>;
    /// Fires when the job is cancelled.
    fn cancelled(&self) -> &CancellationToken;
    /// Fires when the worker begins to stop.
    fn stopping(&self) -> &CancellationToken;
    /// Enqueues another job. The same id again finds the job that is there.
    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>>;
}

/// Why a job of a handler was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No settings name the queue.
    #[error("no settings name the queue `{0}`: add [queues.{0}], or name another queue")]
    UnknownQueue(QueueName),
    /// Redis did not take it.
    #[error(transparent)]
    Queue(#[from] upshot_queue::Error),
}

/// Where the jobs of handlers go.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) connection: upshot_queue::Connection,
    pub(crate) prefix: Arc<str>,
    pub(crate) known: Arc<BTreeSet<QueueName>>,
}

/// An attempt under a lease.
pub(crate) struct Leased {
    pub(crate) lease: Lease,
    pub(crate) outgoing: Outgoing,
}

impl Attempt for Leased {
    fn job(&self) -> &Arc<Job> {
        self.lease.job()
    }

    fn lease(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    fn step(&self, name: &str) -> Option<Value> {
        self.lease.step(name).cloned()
    }

    fn verify(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        self.lease.verify().boxed()
    }

    fn complete_step<'a>(
        &'a self,
        name: &'a str,
        result: &'a Value,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        self.lease.complete_step(name, result).boxed()
    }

    fn progress<'a>(&'a self, progress: &'a Progress) -> BoxFuture<'a, Result<(), WriteError>> {
        self.lease.progress(progress).boxed()
    }

    fn log<'a>(&'a self, line: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        self.lease.log(line).boxed()
    }

    fn cancelled(&self) -> &CancellationToken {
        self.lease.cancelled()
    }

    fn stopping(&self) -> &CancellationToken {
        self.lease.stopping()
    }

    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>> {
        async move {
            if !self.outgoing.known.contains(queue) {
                return Err(EnqueueError::UnknownQueue(queue.clone()));
            }
            let Outgoing { connection, prefix, .. } = &self.outgoing;
            let queue = Queue::with_connection(connection.clone(), prefix, queue.clone());
            queue.enqueue(&[job]).await.map(drop).map_err(Into::into)
        }
        .boxed()
    }
}
