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
    worker::protocol::{Claim, Claimed, Maintained},
};

/// The reply to a claim, and its request.
struct Answer {
    claimed: Claimed,
    slots: Vec<OwnedSemaphorePermit>,
    asked: Instant,
}

/// Claims in flight at the same time. A second claim is sent only for a full batch, so that Redis
/// need not wait for the worker. `claim.lua` remembers the replies of both.
const UNDER_WAY: u64 = 2;

/// Claims until the stop, while the jobs of earlier claims start.
pub(super) async fn run(core: Arc<Core>, started: mpsc::UnboundedSender<Task<Arc<Job>>>) {
    let (answered, mut answers) = mpsc::channel::<Answer>(1);
    let start_all = async {
        while let Some(answer) = answers.recv().await {
            if !start(&core, answer, &started) {
                // A later claim finds the channel closed.
                answers.close();
            }
        }
    };
    tokio::join!(ask(&core, answered), start_all);
}

async fn ask(core: &Core, answered: mpsc::Sender<Answer>) {
    let mut under_way = FuturesUnordered::new();
    // While `Some`, the queue was empty, and there is nothing to do until that time.
    let mut idle_until: Option<Instant> = None;
    let mut request_id: u64 = 1;
    // Request ids without a reply.
    let mut open = BTreeSet::new();
    let mut turnover = Turnover::default();
    let mut backoff = Backoff::default();
    tokio::select! {
        () = core.stop.cancelled() => return,
        () = core.configured.cancelled() => {}
    }
    loop {
        let slots = if under_way.is_empty() {
            match next_slots(core, idle_until.take()).await {
                Some(slots) => slots,
                None => return,
            }
        } else {
            let remembered = open.first().is_none_or(|oldest| request_id < oldest + UNDER_WAY);
            let another = remembered && idle_until.is_none() && !core.stop.is_cancelled();
            tokio::select! {
                biased;
                answer = under_way.next() => {
                    let Some((answered_id, answer)) = answer else { continue };
                    open.remove(&answered_id);
                    // The stop came before the reply; another reply may still come.
                    let Some(answer) = answer else { continue };
                    let Answer { claimed, slots, asked } = &answer;
                    if let Some(idle) = rest(claimed, slots.len(), core.options.poll, &mut backoff) {
                        idle_until = Some(*asked + idle);
                    }
                    report(core, claimed);
                    if answered.send(answer).await.is_err() {
                        return;
                    }
                    continue;
                }
                slots = batch_of_slots(core), if another => {
                    // Handlers still end after the stop and free their slots.
                    if core.stop.is_cancelled() {
                        continue;
                    }
                    slots
                }
            }
        };
        open.insert(request_id);
        turnover
            .note(core.leases.finished.load(Ordering::Relaxed), core.leases.held_us.load(Ordering::Relaxed));
        let quantum = turnover.quantum(slots.len());
        under_way.push(async move { (request_id, claim(core, slots, request_id, quantum).await) });
        request_id += 1;
    }
}

/// Repeats a claim under the same request id until Redis answers, so the worker gets the jobs that
/// an unanswered call leased. The slots stay taken. `None` after the stop.
async fn claim(
    core: &Core,
    slots: Vec<OwnedSemaphorePermit>,
    request_id: u64,
    quantum: usize,
) -> Option<Answer> {
    let mut backoff = Backoff::default();
    loop {
        let asked = Instant::now();
        match claim_once(core, slots.len(), request_id, quantum).await {
            Ok(claimed) => {
                if core.outages.claims.ends() {
                    tracing::info!(queue = %core.options.queue, "claiming works again");
                }
                return Some(Answer { claimed, slots, asked });
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

/// Waits for free slots and possible work; `None` after the stop.
async fn next_slots(core: &Core, idle_until: Option<Instant>) -> Option<Vec<OwnedSemaphorePermit>> {
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
        slots = free_slots(core) => Some(slots),
        // A full worker still runs the maintenance, for other workers.
        () = tokio::time::sleep(core.options.poll) => Some(Vec::new()),
    }
}

/// Waits until slots for a full batch are free.
async fn batch_of_slots(core: &Core) -> Vec<OwnedSemaphorePermit> {
    let Ok(mut all) = Arc::clone(&core.slots).acquire_many_owned(MAX_CLAIM as u32).await else {
        return std::future::pending().await;
    };
    let mut slots: Vec<_> = (1..MAX_CLAIM).filter_map(|_| all.split(1)).collect();
    slots.push(all);
    slots
}

/// All free slots, at least one, at most a batch.
async fn free_slots(core: &Core) -> Vec<OwnedSemaphorePermit> {
    let Ok(first) = Arc::clone(&core.slots).acquire_owned().await else {
        return std::future::pending().await;
    };
    let mut slots = vec![first];
    while slots.len() < MAX_CLAIM {
        match Arc::clone(&core.slots).try_acquire_owned() {
            Ok(slot) => slots.push(slot),
            Err(_) => break,
        }
    }
    slots
}

/// How long to wait before the next claim; `None` to claim at once. While maintenance fails, what
/// is due stays due: a worker that got less than it asked for waits longer after each failure.
fn rest(claimed: &Claimed, asked_for: usize, poll: Duration, backoff: &mut Backoff) -> Option<Duration> {
    let failed = claimed.maintained.is_err();
    if !failed {
        backoff.reset();
    }
    if claimed.len() >= asked_for || claimed.more && !(failed && claimed.is_empty()) {
        return None;
    }
    let idle = idle_time(claimed.now, claimed.next_at, poll);
    Some(if failed { idle.max(backoff.next_wait()) } else { idle })
}

/// How long an idle worker sleeps: until the next known promotion or expiry, and no longer than
/// `poll`.
fn idle_time(now: i64, next_at: i64, poll: Duration) -> Duration {
    if next_at == 0 {
        return poll;
    }
    // One millisecond more, so that the time has come at the next claim.
    Duration::from_millis(next_at.saturating_sub(now).max(0).unsigned_abs() + 1).min(poll)
}

async fn claim_once(
    core: &Core,
    want: usize,
    request_id: u64,
    quantum: usize,
) -> Result<Claimed, RedisError> {
    let (options, policy) = (&core.options, core.leases.policy());
    let claim = Claim {
        worker: core.worker(),
        want,
        lease: options.lease,
        crashes: &policy.crashes,
        crashes_by_kind: &policy.crashes_by_kind,
        kinds: core.kinds.as_deref(),
        request_id,
        shares: policy.shares,
        quantum,
    };
    core.claims.claim(&claim).await
}

fn report(core: &Core, claimed: &Claimed) {
    let queue = &core.options.queue;
    match &claimed.maintained {
        Ok(Maintained { reclaimed, dead }) => {
            if core.outages.maintenance.ends() {
                tracing::info!(%queue, "due jobs are seen to again");
            }
            if *reclaimed > 0 {
                tracing::warn!(%queue, jobs = reclaimed, dead, "leases expired: jobs reclaimed");
                metrics::counter!("job_queue_reclaimed_total", "queue" => queue.to_string())
                    .increment(*reclaimed);
            }
        }
        Err(error) => {
            if core.outages.maintenance.begins(Cause::of(error)) {
                let why = told(error);
                tracing::warn!(%queue, %why, "no due job is promoted, reclaimed or expired until Redis lets us");
            }
        }
    }
    if claimed.unknown > 0 {
        tracing::warn!(%queue, jobs = claimed.unknown, "jobs of kinds that have no handler here: parked until a worker comes that has one");
    }
    if !claimed.is_empty() {
        metrics::counter!("job_queue_claimed_total", "queue" => queue.to_string())
            .increment(claimed.len() as u64);
    }
}

/// Hands the jobs to the worker. False when the worker is gone.
fn start(
    core: &Arc<Core>,
    Answer { claimed, slots, asked }: Answer,
    started: &mpsc::UnboundedSender<Task<Arc<Job>>>,
) -> bool {
    for (job, slot) in claimed.jobs(&core.claims.client, core.worker()).zip(slots) {
        let job = match job {
            Ok(job) => Arc::new(job),
            Err(error) => {
                // Without its fields the job cannot be settled. Its lease ends with the last job of
                // the claim, and its crashes use up its budget.
                tracing::error!(job = %error.id, %error, "claimed job is damaged");
                continue;
            }
        };
        let lease =
            Arc::new(LeaseState::new(Arc::clone(&job), Arc::clone(&core.leases), Some((asked, slot))));
        core.leases.hold(&lease);
        if core.stop.is_cancelled() {
            // The reply came after the stop, so another worker must run the job at once.
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

    #[test]
    fn a_worker_waits_longer_after_each_failure_of_maintenance() {
        let poll = Duration::from_secs(1);
        let mut backoff = Backoff::default();
        let mut claimed = Claimed::empty(2, 1);
        claimed.more = true;
        assert_eq!(rest(&claimed, 8, poll, &mut backoff), None);
        claimed.maintained = Err(RedisError::from((redis::ErrorKind::Io, "no")));
        let waits: Vec<_> = (0..3).filter_map(|_| rest(&claimed, 8, poll, &mut backoff)).collect();
        assert_eq!(waits, [50, 100, 200].map(Duration::from_millis));
        // A claim that got all that it asked for is repeated at once.
        assert_eq!(rest(&claimed, 0, poll, &mut backoff), None);
        claimed.maintained = Ok(Maintained::default());
        claimed.more = false;
        assert_eq!(rest(&claimed, 8, poll, &mut backoff), Some(Duration::from_millis(1)));
    }
}
