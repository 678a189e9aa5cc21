//! Tells the watchers of a job that the job changed.
//!
//! One connection to Redis listens for the whole process, only to queues with a watched job.
//! Without watchers there is no connection. A change message carries ids and no states, so each
//! change leads to a read:
//! ```text
//! change messages ─▶ listen ─▶ dirty ids ─▶ read (one pipeline a queue) ─▶ watch channels ─▶ streams
//! ```
//! The reader gathers ids that change during a read and reads them together. So a burst of changes
//! costs one read, and a slow client sees the newest state instead of a backlog. **No change is
//! missed.** The first read of a job follows the subscription of its channel. After a reconnect,
//! and every few seconds, the reader reads all watched jobs again, because a cluster may lose a
//! message.

mod listen;
mod read;
mod registry;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Notify, watch};
use upshot_queue::{Client, Connector, JobId, QueueName};

use crate::known::Known;
use registry::Registry;

/// The last reading of a watched job.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Not read yet.
    Nothing,
    /// Read.
    Job(Arc<Known>),
    /// The job is not there, or cannot be read.
    Gone,
}

/// The watched jobs. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    connector: Connector,
    queues: BTreeMap<QueueName, Client>,
    registry: Registry,
    /// The set of watched jobs changed.
    watched: Notify,
    /// There are jobs to read.
    dirty: Notify,
}

impl Live {
    /// Without watchers.
    pub fn new(connector: Connector, queues: BTreeMap<QueueName, Client>) -> Self {
        Self(Arc::new(Inner {
            connector,
            queues,
            registry: Registry::default(),
            watched: Notify::new(),
            dirty: Notify::new(),
        }))
    }

    /// Starts to watch a job.
    pub fn watch(&self, queue: &QueueName, id: &JobId) -> Watch {
        let receiver = self.0.registry.add(queue, id);
        self.0.watched.notify_one();
        Watch { inner: Arc::clone(&self.0), queue: queue.clone(), id: id.clone(), receiver: Some(receiver) }
    }

    /// How many jobs are watched.
    pub fn watched(&self) -> usize {
        self.0.registry.len()
    }

    /// Listens and reads until the future is dropped.
    pub async fn run(self) {
        tokio::join!(listen::run(&self.0), read::run(&self.0));
    }
}

/// One watcher of a job. Dropping it ends the watch.
pub struct Watch {
    inner: Arc<Inner>,
    queue: QueueName,
    id: JobId,
    /// `None` only while it is dropped.
    receiver: Option<watch::Receiver<Seen>>,
}

impl Watch {
    /// Waits for the next reading of the job, the first one included. Of the readings since the
    /// last call only the newest is returned.
    pub async fn next(&mut self) -> Seen {
        let Some(receiver) = &mut self.receiver else { return Seen::Gone };
        loop {
            // The sender lives as long as there are receivers.
            if receiver.changed().await.is_err() {
                return Seen::Gone;
            }
            let seen = receiver.borrow_and_update().clone();
            if !matches!(seen, Seen::Nothing) {
                return seen;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.receiver.take());
        if self.inner.registry.forget_unwatched(&self.queue, &self.id) {
            self.inner.watched.notify_one();
        }
    }
}
