//! The surroundings of an attempt besides its lease: the clock, and the queues for jobs that its
//! handler enqueues.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, future::BoxFuture};
use upshot_queue::{Client, EnqueueResult, NewJob, QueueName, Rejection};

/// The surroundings of attempts: an executor, or a test.
pub trait Host: Send + Sync {
    /// The time, UTC ms.
    fn now(&self) -> i64;
    /// Enqueues a job. The same id again finds the job that is there.
    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>>;
}

/// Why a job of a handler was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No settings name the queue.
    #[error("no settings name the queue `{0}`: add [queues.{0}], or name another queue")]
    UnknownQueue(QueueName),
    /// The queue never takes such a job.
    #[error("the queue does not take it: {0}")]
    Rejected(Rejection),
    /// Redis did not take it.
    #[error(transparent)]
    Queue(#[from] upshot_queue::Error),
}

/// An executor: the machine's clock, and the queues of the settings.
pub(crate) struct ExecutorHost {
    pub(crate) queues: BTreeMap<QueueName, Client>,
}

impl Host for ExecutorHost {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>> {
        async move {
            let client = self.queues.get(queue);
            let client = client.ok_or_else(|| EnqueueError::UnknownQueue(queue.clone()))?;
            match client.enqueue(&[job]).await?.pop() {
                Some(EnqueueResult::Rejected(why)) => Err(EnqueueError::Rejected(why)),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}
