//! Jobs into Redis, waiting while Redis is away.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;
use upshot_queue::{JobId, QueueName, Verdict, connect::Backoff, queue};
use upshot_shared::{Reason, Rejection, health};

use crate::{
    Bridge,
    batch::{Jobs, Refused},
};

/// Enqueues a batch: a script call for each queue and some 75 jobs, all at once. Returns when
/// Redis holds every job that its queue takes, with the deliveries of the others by their place
/// in the batch.
///
/// While Redis is away the batch is tried again for as long as the connection
/// to RabbitMQ is alive; after that its deliveries come again anyway.
pub(crate) async fn enqueue(
    bridge: &Bridge,
    jobs: &HashMap<QueueName, Jobs>,
    alive: impl Fn() -> bool,
    stop: &CancellationToken,
) -> Result<BTreeMap<usize, Refused>, String> {
    let mut backoff = Backoff::default();
    loop {
        // What Redis would keep less safely than is demanded is not given to it.
        if bridge.health.why_missing(health::DURABILITY).is_none() {
            match once(bridge, jobs).await {
                Ok(verdicts) => {
                    bridge.health.up(health::ENQUEUE);
                    return Ok(refused(&verdicts));
                }
                Err(queue::Error::Redis(error)) => {
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

/// What became of a job, and the place of its delivery.
struct Enqueued<'a> {
    queue: &'a QueueName,
    id: &'a JobId,
    of: usize,
    verdict: Verdict,
}

async fn once<'a>(
    bridge: &Bridge,
    jobs: &'a HashMap<QueueName, Jobs>,
) -> Result<Vec<Enqueued<'a>>, queue::Error> {
    let calls = jobs.iter().filter_map(|(name, Jobs { jobs, of })| {
        // Every queue of a route has a client; see `Bridge::new`.
        let queue = bridge.queues.get(name)?;
        Some(async move {
            let verdicts = queue.enqueue(jobs).await?;
            let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
            for (result, count) in [
                ("inserted", count(|verdict| matches!(verdict, Verdict::Inserted))),
                ("duplicate", count(|verdict| matches!(verdict, Verdict::Duplicate { .. }))),
                ("refused", count(|verdict| matches!(verdict, Verdict::Rejected(_)))),
            ] {
                if count > 0 {
                    metrics::counter!("upshot_bridge_jobs_total", "queue" => name.to_string(), "result" => result)
                        .increment(count as u64);
                }
            }
            let jobs = jobs.iter().zip(of).zip(verdicts);
            let enqueued = |((job, of), verdict)| {
                let (job, of): (&'a upshot_queue::NewJob, &usize) = (job, of);
                Enqueued { queue: name, id: &job.id, of: *of, verdict }
            };
            Ok::<_, queue::Error>(jobs.map(enqueued).collect::<Vec<_>>())
        })
    });
    Ok(try_join_all(calls).await?.into_iter().flatten().collect())
}

/// The deliveries of which a queue does not take a job, with the jobs that others took.
fn refused(enqueued: &[Enqueued<'_>]) -> BTreeMap<usize, Refused> {
    let mut refused = BTreeMap::new();
    for Enqueued { queue, id, of, verdict } in enqueued {
        if let Verdict::Rejected(why) = verdict {
            let detail = format!("queue `{queue}` does not take job {id}: {why}");
            refused.entry(*of).or_insert_with(|| Rejection::new(Reason::RefusedByQueue, "", detail).into());
        }
    }
    if !refused.is_empty() {
        for Enqueued { queue, id, of, verdict } in enqueued {
            if let (Some(Refused { jobs, .. }), false) =
                (refused.get_mut(of), matches!(verdict, Verdict::Rejected(_)))
            {
                jobs.push(((*queue).clone(), (*id).clone()));
            }
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
        let too_large = upshot_queue::Rejection::Payload { bytes: 9, limit: 8 };
        let enqueued = |queue, id, of, verdict| Enqueued { queue, id, of, verdict };
        let all = [
            enqueued(&one, &ids[0], 3, Verdict::Inserted),
            enqueued(&other, &ids[1], 3, Verdict::Rejected(too_large)),
            enqueued(&one, &ids[2], 4, Verdict::Inserted),
        ];
        let refused = refused(&all);
        assert_eq!(refused.len(), 1);
        let Refused { rejection, jobs } = &refused[&3];
        assert_eq!(
            (rejection.reason, jobs.as_slice()),
            (Reason::RefusedByQueue, &[(one, ids[0].clone())][..])
        );
        for word in ["`other`", ids[1].as_str(), "9 bytes"] {
            assert!(rejection.detail.contains(word), "{rejection}");
        }
    }
}
