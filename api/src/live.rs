//! Tells those who watch a job that it changed.
//!
//! One connection to Redis listens for the whole process, and only to the
//! queues of which a job is watched; nobody watching means no connection. A
//! change message carries ids, not states, so every change leads to a read:
//! ```text
//! change messages ─▶ listen ─▶ dirty ids ─▶ read (one pipeline a queue) ─▶ watch channels ─▶ streams
//! ```
//! Ids that change while a read is under way are gathered and read together, so
//! a burst of changes costs one read, and a slow client sees the newest state
//! instead of a backlog. **Nothing is missed:** a job is first read after its
//! channel is subscribed, and all watched jobs are read again after a
//! reconnect, and every few seconds besides: a cluster may lose a message.

mod listen;
mod read;
mod registry;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Notify, watch};
use upshot_queue::{Client, Connector, JobId, QueueName};

use crate::known::Known;
use registry::Registry;

/// What is known of a watched job.
#[derive(Clone, Debug)]
pub enum Seen {
    /// It was not read yet.
    Nothing,
    /// It was read.
    Job(Arc<Known>),
    /// There is no such job (any more), or it cannot be read.
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
    /// Nobody watches yet.
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

    /// Listens and reads until it is dropped.
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
    /// Waits for the next reading of the job, the first one included. Readings
    /// that came while nobody waited are skipped except for the newest.
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
