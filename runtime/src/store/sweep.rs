//! Removes files that no job needs from the store: drafts and half-written files.
//!
//! A pass reads all drafts, a bounded part in each round. For each draft that is old enough it asks
//! the queue for the job. A draft is removed if its job
//! - is unknown,
//! - has succeeded or was cancelled, and so never runs again, or
//! - has completed the step after which nothing reads the draft.
//!
//! The draft of any other job stays: a dead or parked job can run again, and the step that wrote
//! the draft does not. Sweepers of several processes may run at the same time.

use std::{
    collections::HashMap,
    io,
    time::{Duration, SystemTime},
};

use futures::{StreamExt, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, Job, JobId, QueueName, State, failure::with_causes};

use super::{Drafts, Store, staging};

/// The time between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// Files that a round examines, for drafts and for other files.
const LOOKED_AT: usize = 500;
/// The least age of a draft or half-written file that is removed. A running job finishes with its
/// files long before.
pub const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Drafts that no job needs.
    pub drafts: u64,
    /// Files of a local store whose writer died in the middle.
    pub staging: u64,
}

/// Why a round stopped early. The next one continues.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer.
    #[error("store: {}", with_causes(.0))]
    Store(#[from] object_store::Error),
    /// The store's folder cannot be read.
    #[error("store: {0}")]
    Folder(#[from] io::Error),
    /// A queue does not answer.
    #[error(transparent)]
    Client(#[from] upshot_queue::Error),
}

/// Sweeps the drafts of the jobs of some queues.
pub struct Sweeper {
    store: Store,
    folder: Path,
    queues: HashMap<QueueName, Client>,
    done: &'static str,
    age: Duration,
    drafts: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
    staging: Option<staging::Walk>,
}

impl Sweeper {
    /// Sweeps drafts of jobs of these queues. `done` is the step after which nothing
    /// reads a draft.
    pub fn new(
        store: Store,
        drafts: &Drafts,
        queues: impl IntoIterator<Item = Client>,
        done: &'static str,
    ) -> Self {
        super::metrics::describe();
        let folder = store.path(&drafts.folder());
        let queues = queues.into_iter().map(|queue| (queue.name().clone(), queue)).collect();
        Self { store, folder, queues, done, age: AGE, drafts: None, staging: None }
    }

    /// The same with another age than [`AGE`].
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Sweeps a part each minute until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failed = false;
        loop {
            let round = async {
                rounds.tick().await;
                self.round().await
            };
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = round => swept,
            };
            if let Err(error) = &swept
                && !failed
            {
                tracing::warn!(%error, "what no job needs cannot be removed from the store; it is tried again each minute");
            }
            failed = swept.is_err();
        }
    }

    /// Examines the next part of the drafts and of the store's folder. After the end of a pass, the
    /// next round starts again.
    ///
    /// # Errors
    /// When the store or Redis does not answer. Removed files are counted all the same.
    pub async fn round(&mut self) -> Result<Swept, Error> {
        let drafts = self.sweep_drafts().await?;
        let staging = self.sweep_staging().await?;
        Ok(Swept { drafts, staging })
    }

    async fn sweep_drafts(&mut self) -> Result<u64, Error> {
        let limit = chrono::Utc::now() - self.age;
        let mut old: Vec<(Client, JobId, ObjectMeta)> = Vec::new();
        let store = &self.store.store;
        let listed = self.drafts.get_or_insert_with(|| store.list(Some(&self.folder)));
        for _ in 0..LOOKED_AT {
            match listed.next().await {
                Some(Ok(file)) => {
                    if file.last_modified <= limit
                        && let Some((queue, id)) = Drafts::job_of(&self.folder, &file.location)
                        // Jobs of a queue that is not in the settings may run elsewhere.
                        && let Some(queue) = self.queues.get(&queue)
                    {
                        old.push((queue.clone(), id, file));
                    }
                }
                Some(Err(error)) => {
                    self.drafts = None;
                    return Err(error.into());
                }
                None => {
                    self.drafts = None;
                    break;
                }
            }
        }
        let mut swept = 0;
        let mut failed = None;
        for (queue, id, file) in old {
            let needed = match queue.job(&id).await {
                Ok(job) => is_needed(job.as_ref(), self.done),
                // A damaged job may be repaired, and does not stop the sweep.
                Err(upshot_queue::Error::Unreadable(_)) => true,
                // A queue that cannot be read keeps its drafts, and does not stop the sweep.
                Err(error) => {
                    failed = Some(error);
                    true
                }
            };
            if !needed && remove(&*self.store.store, &file).await? {
                tracing::info!(job_id = %id, queue = %queue.name(), key = %file.location, "a draft that no job needs was removed");
                metrics::counter!("upshot_store_swept_total", "what" => "draft").increment(1);
                swept += 1;
            }
        }
        failed.map_or(Ok(swept), |error| Err(error.into()))
    }

    async fn sweep_staging(&mut self) -> Result<u64, Error> {
        let Some(root) = self.store.root.clone() else { return Ok(0) };
        let walk = self.staging.take();
        let limit = SystemTime::now().checked_sub(self.age).unwrap_or(SystemTime::UNIX_EPOCH);
        let part = tokio::task::spawn_blocking(move || {
            let walk = walk.map_or_else(|| staging::Walk::of(&root), Ok)?;
            walk.sweep(LOOKED_AT, limit)
        });
        let (walk, swept) = part.await.map_err(io::Error::other)??;
        self.staging = walk;
        metrics::counter!("upshot_store_swept_total", "what" => "staging").increment(swept);
        Ok(swept)
    }
}

/// Removes a file, unless it was written again after the listing.
async fn remove(store: &dyn ObjectStore, file: &ObjectMeta) -> Result<bool, object_store::Error> {
    // Whole seconds, because some stores list milliseconds and describe a file without them.
    let written = |file: &ObjectMeta| file.last_modified.timestamp();
    let removed = match store.head(&file.location).await {
        Ok(now) if written(&now) > written(file) => return Ok(false),
        Ok(_) => store.delete(&file.location).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        // Another sweeper or the job itself removed the file.
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a job may still read its draft.
fn is_needed(job: Option<&Job>, done: &str) -> bool {
    job.is_some_and(|job| {
        let over = matches!(job.state, State::Succeeded | State::Cancelled);
        !over && job.step(done).is_none()
    })
}
