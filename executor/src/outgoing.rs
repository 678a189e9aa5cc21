//! Where the jobs go that handlers enqueue.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use upshot_queue::{Client, Connection, NewJob, QueueName};

/// Takes the jobs that handlers enqueue: the queues in Redis, or a test.
pub trait Outgoing: Send + Sync {
    /// Enqueues a job. The same id again finds the job that is there.
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

/// The queues of the settings.
pub(crate) struct Queues {
    pub(crate) connection: Connection,
    pub(crate) prefix: Arc<str>,
    pub(crate) known: BTreeSet<QueueName>,
}

impl Outgoing for Queues {
    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>> {
        async move {
            if !self.known.contains(queue) {
                return Err(EnqueueError::UnknownQueue(queue.clone()));
            }
            let client = Client::with_connection(self.connection.clone(), &self.prefix, queue.clone());
            client.enqueue(&[job]).await.map(drop).map_err(Into::into)
        }
        .boxed()
    }
}
