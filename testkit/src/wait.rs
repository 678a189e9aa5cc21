//! Waiting on signals, with a limit.

use std::time::Duration;

use upshot_queue::{Client, Connector, Job, JobId};

/// Nothing in a test takes this long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must come.
///
/// # Panics
/// When it did not come within [`PATIENCE`].
pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, waiting).await;
    came.unwrap_or_else(|_| panic!("nothing within {PATIENCE:?}: {what}"))
}

/// Waits until a job is as wanted: reads it, and again after each change of its queue.
///
/// # Panics
/// When it was not so within [`PATIENCE`], or Redis went away.
pub async fn until(connector: &Connector, queue: &Client, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
    let mut last = None;
    let waiting = async {
        let mut listener = connector.listen().await.unwrap();
        listener.subscribe(queue.keys().changes()).await.unwrap();
        listener.subscribe(queue.keys().wake()).await.unwrap();
        loop {
            if let Some(job) = queue.job(id).await.unwrap() {
                if wanted(&job) {
                    return job;
                }
                last = Some(job);
            }
            listener.next().await.expect("Redis went away");
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(job) => job,
        Err(_) => panic!("job {id} did not become what the test waits for; it is {last:?}"),
    }
}
