//! Finds the jobs of an event that are there before it is published.

use std::collections::BTreeMap;

use futures::future;
use upshot_queue::{Client, Error, Job, NewJob, QueueName, Reconciled};

use upshot_shared::json;

/// A job of an event that is there already.
#[derive(Clone, Debug)]
pub struct Found {
    /// The job.
    pub job: Job,
    /// How the event relates to the job. `None` for the job of another event, found under the
    /// idempotency key of its route.
    pub reconciled: Option<Reconciled>,
}

/// Finds those of these jobs that are there already, in order. Changes nothing.
///
/// # Errors
/// When Redis failed or a job is damaged.
pub async fn look_up(
    queues: &BTreeMap<QueueName, Client>,
    expected: &[(QueueName, NewJob)],
) -> Result<Vec<Option<Found>>, Error> {
    let look = |(queue, job): &'_ (QueueName, NewJob)| {
        let (queue, job) = (queues.get(queue).cloned(), job.clone());
        async move {
            let Some(queue) = queue else { return Ok(None) };
            let Some(found) = queue.would_find(&job).await? else { return Ok(None) };
            let mut reconciled = None;
            if found.id == job.id {
                reconciled = queue.compare(&[&job], json::same).await?.pop();
            }
            Ok(Some(Found { job: found, reconciled }))
        }
    };
    future::try_join_all(expected.iter().map(look)).await
}
