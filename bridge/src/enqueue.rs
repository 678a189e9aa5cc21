//! Jobs into Redis, waiting while Redis is away.

use std::collections::HashMap;

use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;
use upshot_queue::{JobId, NewJob, QueueName, Rejection, Verdict, connect::Backoff, queue};
use upshot_shared::health;

use crate::Bridge;

/// Enqueues a batch: a script call for each queue and some 75 jobs, all at once. Returns when
/// Redis holds every job.
///
/// While Redis is away the batch is tried again for as long as the connection
/// to RabbitMQ is alive; after that its deliveries come again anyway.
pub(crate) async fn enqueue(
    bridge: &Bridge,
    jobs: &HashMap<QueueName, Vec<NewJob>>,
    alive: impl Fn() -> bool,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut backoff = Backoff::default();
    loop {
        // What Redis would keep less safely than is demanded is not given to it.
        if bridge.health.why_missing(health::DURABILITY).is_none() {
            match once(bridge, jobs).await {
                Ok(()) => {
                    bridge.health.up(health::ENQUEUE);
                    return Ok(());
                }
                Err(Refused::Queue(queue::Error::Redis(error))) => {
                    bridge.health.down_by_redis(health::ENQUEUE, &error);
                }
                Err(error) => bridge.health.down(health::ENQUEUE, &error),
            }
        }
        if !alive() {
            return Err("the connection was lost while Redis was away".to_owned());
        }
        tokio::select! {
            () = stop.cancelled() => return Err("stopped while Redis was away".to_owned()),
            () = backoff.wait() => {}
        }
    }
}

/// Why a batch is not in Redis.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error("job {0} is not taken by its queue: {1}")]
    Rejected(JobId, Rejection),
}

async fn once(bridge: &Bridge, jobs: &HashMap<QueueName, Vec<NewJob>>) -> Result<(), Refused> {
    let calls = jobs.iter().filter_map(|(name, jobs)| {
        // Every queue of a route has a client; see `Bridge::new`.
        let queue = bridge.queues.get(name)?;
        Some(async move {
            let verdicts = queue.enqueue(jobs).await?;
            if let Some((job, Verdict::Rejected(why))) =
                jobs.iter().zip(&verdicts).find(|(_, verdict)| matches!(verdict, Verdict::Rejected(_)))
            {
                // The intake accepts nothing that the queue does not take; should
                // they ever differ, the event stays in RabbitMQ and this is said.
                return Err(Refused::Rejected(job.id.clone(), why.clone()));
            }
            let inserted = verdicts.iter().filter(|verdict| **verdict == Verdict::Inserted).count();
            for (result, count) in [("inserted", inserted), ("duplicate", verdicts.len() - inserted)] {
                if count > 0 {
                    metrics::counter!("upshot_bridge_jobs_total", "queue" => name.to_string(), "result" => result)
                        .increment(count as u64);
                }
            }
            Ok(())
        })
    });
    try_join_all(calls).await.map(drop)
}
