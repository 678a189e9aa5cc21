//! Claims as many jobs as can start now.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use apalis_core::task::{Task, builder::TaskBuilder, task_id::TaskId};
use futures::{StreamExt, stream::FuturesUnordered};
use redis::RedisError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    core::Core,
    lease::{Lease, LeaseState},
    turnover::Turnover,
};
use crate::{
    job::Job,
    redis::connect::{Backoff, Cause, told},
    scripts::MAX_CLAIM,
    worker::protocol::{Claim, Claimed},
};

/// What a claim was answered, and what it was asked with.
struct Answer {
    claimed: Claimed,
    places: Vec<OwnedSemaphorePermit>,
    asked: Instant,
}

/// Claims that are under way to Redis at once. A second one goes only when it is a
/// full batch, so that Redis need not wait for us. `claim.lua` remembers what
/// the oldest that is open was answered, and the one behind it.
const UNDER_WAY: u64 = 2;

/// Claims until the worker is told to stop, while the jobs of the claims before
/// are started.
pub(super) async fn run(core: Arc<Core>, started: mpsc::UnboundedSender<Task<Arc<Job>>>) {
    let (answered, mut answers) = mpsc::channel::<Answer>(1);
    let start_all = async {
        while let Some(answer) = answers.recv().await {
            if !start(&core, answer, &started) {
                // Whoever claims more finds the channel closed.
                answers.close();
            }
        }
    };
    tokio::join!(ask(&core, answered), start_all);
}

async fn ask(core: &Core, answered: mpsc::Sender<Answer>) {
    let mut under_way = FuturesUnordered::new();
    // While `Some`, the queue was seen empty and there is nothing to do until then.
    let mut idle_until: Option<Instant> = None;
    let mut number: u64 = 1;
    // Numbers without an answer.
    let mut open = BTreeSet::new();
    let mut turnover = Turnover::default();
    loop {
        let places = if under_way.is_empty() {
            match next_places(core, idle_until.take()).await {
                Some(places) => places,
                None => return,
            }
        } else {
            let remembered = open.first().is_none_or(|oldest| number < oldest + UNDER_WAY);
            let another = remembered && idle_until.is_none() && !core.stop.is_cancelled();
            tokio::select! {
                biased;
                answer = under_way.next() => {
                    let Some((answered_number, answer)) = answer else { continue };
                    open.remove(&answered_number);
                    // Told to stop before Redis answered; another may be answered yet.
                    let Some(answer) = answer else { continue };
                    let Answer { claimed, places, asked } = &answer;
                    if places.len() > claimed.len() && !claimed.more {
                        idle_until = Some(*asked + idle_time(claimed.now, claimed.next_at, core.options.poll));
                    }
                    report(core, claimed);
                    if answered.send(answer).await.is_err() {
                        return;
                    }
                    continue;
                }
                places = batch_of_places(core), if another => {
                    // Handlers go on ending after the stop, and leave their places free.
                    if core.stop.is_cancelled() {
                        continue;
                    }
                    places
                }
            }
        };
        open.insert(number);
        turnover
            .note(core.leases.finished.load(Ordering::Relaxed), core.leases.held_us.load(Ordering::Relaxed));
        let ahead = turnover.ahead(places.len());
        under_way.push(async move { (number, claim(core, places, number, ahead).await) });
        number += 1;
    }
}

/// Claims until Redis answers, under the same number: jobs that an unanswered call
/// has leased are not lost to us. The places stay taken. `None` when the worker is
/// told to stop meanwhile.
async fn claim(core: &Core, places: Vec<OwnedSemaphorePermit>, number: u64, ahead: usize) -> Option<Answer> {
    let mut backoff = Backoff::default();
    loop {
        let asked = Instant::now();
        match claim_once(core, places.len(), number, ahead).await {
            Ok(claimed) => {
                if core.outages.claims.ends() {
                    tracing::info!(queue = %core.options.queue, "claiming works again");
                }
                return Some(Answer { claimed, places, asked });
            }
            Err(error) => {
                if core.outages.claims.begins(Cause::of(&error)) {
                    let why = told(&error);
                    tracing::warn!(queue = %core.options.queue, %why, "nothing claimed until Redis lets us");
                }
            }
        }
        tokio::select! {
            () = core.stop.cancelled() => return None,
            () = backoff.wait() => {}
        }
    }
}

/// Free places once there may be something to do; `None` when the worker is told to
/// stop.
async fn next_places(core: &Core, idle_until: Option<Instant>) -> Option<Vec<OwnedSemaphorePermit>> {
    if let Some(until) = idle_until {
        tokio::select! {
            () = core.stop.cancelled() => return None,
            () = core.wake.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
    tokio::select! {
        biased;
        () = core.stop.cancelled() => None,
        places = free_places(core) => Some(places),
        // A full worker still promotes and takes over for the others.
        () = tokio::time::sleep(core.options.poll) => Some(Vec::new()),
    }
}

/// Places for a full batch, once so many are free.
async fn batch_of_places(core: &Core) -> Vec<OwnedSemaphorePermit> {
    let Ok(mut all) = Arc::clone(&core.places).acquire_many_owned(MAX_CLAIM as u32).await else {
        return std::future::pending().await;
    };
    let mut places: Vec<_> = (1..MAX_CLAIM).filter_map(|_| all.split(1)).collect();
    places.push(all);
    places
}

/// All free places, at least one, at most a batch.
async fn free_places(core: &Core) -> Vec<OwnedSemaphorePermit> {
    let Ok(first) = Arc::clone(&core.places).acquire_owned().await else {
        return std::future::pending().await;
    };
    let mut places = vec![first];
    while places.len() < MAX_CLAIM {
        match Arc::clone(&core.places).try_acquire_owned() {
            Ok(place) => places.push(place),
            Err(_) => break,
        }
    }
    places
}

/// How long an idle worker sleeps: until the next promotion or expiry that it
/// knows of, and no longer than `poll`.
fn idle_time(now: i64, next_at: i64, poll: Duration) -> Duration {
    if next_at == 0 {
        return poll;
    }
    // One millisecond more, so that the time has come when Redis is asked.
    Duration::from_millis(next_at.saturating_sub(now).max(0).unsigned_abs() + 1).min(poll)
}

async fn claim_once(core: &Core, want: usize, number: u64, ahead: usize) -> Result<Claimed, RedisError> {
    let options = &core.options;
    let claim = Claim {
        worker: core.worker(),
        want,
        lease: options.lease,
        crashes: &core.crashes,
        crashes_by_kind: &core.crashes_by_kind,
        kinds: core.kinds.as_deref(),
        number,
        shares: options.shares,
        ahead,
    };
    core.claims.claim(&claim).await
}

fn report(core: &Core, claimed: &Claimed) {
    let queue = &core.options.queue;
    if claimed.taken_over > 0 {
        tracing::warn!(%queue, jobs = claimed.taken_over, dead = claimed.buried, "leases expired: jobs taken over");
        metrics::counter!("upshot_queue_taken_over_total", "queue" => queue.to_string())
            .increment(claimed.taken_over);
    }
    if claimed.unknown > 0 {
        tracing::warn!(%queue, jobs = claimed.unknown, "jobs of kinds that have no handler here: parked until a worker comes that has one");
    }
    if !claimed.is_empty() {
        metrics::counter!("upshot_queue_claimed_total", "queue" => queue.to_string())
            .increment(claimed.len() as u64);
    }
}

/// Hands the jobs to the worker. False when nobody takes them any more.
fn start(
    core: &Arc<Core>,
    Answer { claimed, places, asked }: Answer,
    started: &mpsc::UnboundedSender<Task<Arc<Job>>>,
) -> bool {
    for (job, place) in claimed.jobs(&core.claims.client, core.worker()).zip(places) {
        let job = match job {
            Ok(job) => Arc::new(job),
            Err(error) => {
                // Without its fields it cannot be settled: its lease ends with the last
                // job of the claim, and its crashes bury it.
                tracing::error!(job = %error.id, %error, "claimed job is damaged");
                continue;
            }
        };
        let lease =
            Arc::new(LeaseState::new(Arc::clone(&job), Arc::clone(&core.leases), Some((asked, place))));
        core.leases.hold(&lease);
        if core.stop.is_cancelled() {
            // It was answered after the stop: the job is to run elsewhere, and at once.
            lease.release_unstarted();
            continue;
        }
        let task = TaskBuilder::new(Arc::clone(&job))
            .task_id(TaskId::from_string(job.id.as_str()))
            // The worker's lifecycle adds one when the task starts.
            .attempt(job.attempts.saturating_sub(1) as usize)
            .data(Lease(lease))
            .build();
        if started.send(task).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_idle_worker_never_sleeps_longer_than_its_poll(now in 0i64..1 << 50, next in 0i64..1 << 50) {
            let poll = Duration::from_secs(1);
            let idle = idle_time(now, next, poll);
            prop_assert!(idle <= poll && idle > Duration::ZERO);
        }
    }
}
