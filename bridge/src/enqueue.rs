//! Enqueues jobs, and waits while Redis is away.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, EnqueueResult, JobId, NewJob, QueueName, Reconciled, connect::Backoff};
use upshot_runtime::health;
use upshot_shared::{Reason, Rejection, json, rejection};

use crate::{
    Bridge,
    batch::{Jobs, Refused},
};

/// The part of the health that says whether the batch in hand gets into Redis. Only a batch that
/// gets there restores it.
const BATCH: &str = "batch";

/// Enqueues a batch: a script call for each queue and some 75 jobs, all at once. Returns when Redis
/// holds every job that its queue takes. The result has the deliveries of refused jobs, by their
/// position in the batch.
///
/// While Redis is away, the call repeats for as long as the connection to RabbitMQ is alive. After
/// that RabbitMQ delivers the events again anyway.
pub(crate) async fn enqueue(
    bridge: &Bridge,
    jobs: &HashMap<QueueName, Jobs>,
    alive: impl Fn() -> bool,
    stop: &CancellationToken,
) -> Result<BTreeMap<usize, Refused>, String> {
    if jobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut backoff = Backoff::default();
    loop {
        // Redis gets no job that it would keep less safely than `redis.durability` demands.
        if bridge.health.why_missing(health::DURABILITY).is_none() {
            match once(bridge, jobs).await {
                Ok(verdicts) => {
                    bridge.health.up(BATCH);
                    return Ok(refused(&verdicts));
                }
                Err(Failed::Queue(upshot_queue::Error::Redis(error))) => {
                    bridge.health.down_by_redis(BATCH, &error);
                }
                Err(error) => bridge.health.down(BATCH, &error),
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

/// Why a batch is not completely in Redis. Enqueueing it again finds the jobs that are.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Queue(#[from] upshot_queue::Error),
    #[error("job {0} was forgotten while it was looked at")]
    Gone(JobId),
}

/// The result for a job, and the position of its delivery.
struct Enqueued<'a> {
    queue: &'a QueueName,
    id: &'a JobId,
    of: usize,
    refused: Option<Rejection>,
}

async fn once<'a>(bridge: &Bridge, jobs: &'a HashMap<QueueName, Jobs>) -> Result<Vec<Enqueued<'a>>, Failed> {
    let calls = jobs.iter().filter_map(|(name, Jobs { jobs, of })| {
        // Every queue of a route has a client; see `Bridge::new`.
        let queue = bridge.queues.get(name)?;
        Some(async move {
            let verdicts = queue.enqueue(jobs).await?;
            let mut conflicts = conflicts(queue, jobs, &verdicts).await?;
            let count = |is: fn(&EnqueueResult) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
            for (result, count) in [
                ("inserted", count(|verdict| matches!(verdict, EnqueueResult::Inserted))),
                ("duplicate", count(|verdict| matches!(verdict, EnqueueResult::Duplicate { .. }))),
                ("refused", count(|verdict| matches!(verdict, EnqueueResult::Rejected(_)))),
            ] {
                if count > 0 {
                    metrics::counter!("upshot_bridge_jobs_total", "queue" => name.to_string(), "result" => result)
                        .increment(count as u64);
                }
            }
            let mut enqueued = Vec::with_capacity(jobs.len());
            for (place, ((job, of), verdict)) in jobs.iter().zip(of).zip(verdicts).enumerate() {
                let refused = match verdict {
                    EnqueueResult::Rejected(why) => {
                        let detail = format!("queue `{name}` does not take job {}: {why}", job.id);
                        Some(Rejection::new(Reason::RefusedByQueue, "", detail))
                    }
                    _ => conflicts.remove(&place),
                };
                enqueued.push(Enqueued { queue: name, id: &job.id, of: *of, refused });
            }
            Ok::<_, Failed>(enqueued)
        })
    });
    Ok(try_join_all(calls).await?.into_iter().flatten().collect())
}

/// Finds, among jobs that were there already, those whose event had other data or another tenant,
/// by position. Repairs a job that could not use the first data.
async fn conflicts(
    queue: &Client,
    jobs: &[NewJob],
    verdicts: &[EnqueueResult],
) -> Result<HashMap<usize, Rejection>, Failed> {
    // A job that stands for this one under an idempotency key has its own data.
    let is_own = |job: &NewJob, verdict: &EnqueueResult| matches!(verdict, EnqueueResult::Duplicate { id, .. } if *id == job.id);
    let found = jobs.iter().zip(verdicts).enumerate().filter(|(_, (job, verdict))| is_own(job, verdict));
    let (places, found): (Vec<usize>, Vec<&NewJob>) = found.map(|(place, (job, _))| (place, job)).unzip();
    let mut conflicts = HashMap::new();
    if found.is_empty() {
        return Ok(conflicts);
    }
    let reconciled = queue.reconcile(&found, json::same).await?;
    for ((place, job), reconciled) in places.into_iter().zip(found).zip(reconciled) {
        let result = match reconciled {
            Reconciled::Same => continue,
            Reconciled::Gone => return Err(Failed::Gone(job.id.clone())),
            Reconciled::Repaired => {
                tracing::info!(job = %job.id, queue = %queue.name(), "repaired with the data of another event of its identity");
                "repaired"
            }
            Reconciled::Conflict(conflict) => {
                conflicts.insert(place, rejection::conflicting(&job.id, conflict));
                "conflict"
            }
        };
        metrics::counter!("upshot_bridge_jobs_total", "queue" => queue.name().to_string(), "result" => result)
            .increment(1);
    }
    Ok(conflicts)
}

/// The deliveries with a refused job, with the jobs that other queues took.
fn refused(enqueued: &[Enqueued<'_>]) -> BTreeMap<usize, Refused> {
    let mut refused = BTreeMap::new();
    for each in enqueued {
        if let Some(rejection) = &each.refused {
            refused.entry(each.of).or_insert_with(|| Refused::from(rejection.clone()));
        }
    }
    for each in enqueued.iter().filter(|each| each.refused.is_none()) {
        if let Some(Refused { jobs, .. }) = refused.get_mut(&each.of) {
            jobs.push((each.queue.clone(), each.id.clone()));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_one_queue_refuses_names_the_jobs_that_others_took() {
        let (one, other): (QueueName, QueueName) = ("one".parse().unwrap(), "other".parse().unwrap());
        let ids = [JobId::random(), JobId::random(), JobId::random()];
        let too_large = Rejection::new(Reason::RefusedByQueue, "", "too large");
        let enqueued = |queue, id, of, refused| Enqueued { queue, id, of, refused };
        let all = [
            enqueued(&one, &ids[0], 3, None),
            enqueued(&other, &ids[1], 3, Some(too_large.clone())),
            enqueued(&one, &ids[2], 4, None),
        ];
        let refused = refused(&all);
        assert_eq!(refused.len(), 1);
        let Refused { rejection, jobs } = &refused[&3];
        assert_eq!((rejection, jobs.as_slice()), (&too_large, &[(one, ids[0].clone())][..]));
    }
}
