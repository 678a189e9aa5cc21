//! Which jobs of an event are there already, before it is published.

use std::collections::BTreeMap;

use futures::future;
use upshot_queue::{Error, Job, NewJob, Queue, QueueName, Reconciled};

use upshot_shared::json;

/// A job that an event leads to and that is there already.
#[derive(Clone, Debug)]
pub struct Found {
    /// The job.
    pub job: Job,
    /// What the event is to it; `None` for the job of another event, which was found under
    /// the idempotency key of its route.
    pub reconciled: Option<Reconciled>,
}

/// What of these jobs is there already, in order. Changes nothing.
///
/// # Errors
/// When Redis failed or a job is damaged.
pub async fn look_up(
    queues: &BTreeMap<QueueName, Queue>,
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
