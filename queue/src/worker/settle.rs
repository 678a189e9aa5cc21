//! Writes how attempts ended, in batches.

use std::sync::Arc;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{
    redis::{
        clock::utc_ms,
        connect::{Backoff, Cause, told},
    },
    scripts::{CALL_BYTES, MAX_ENDS},
    worker::protocol::{Disposition, EndedAttempt},
};

/// Batches in flight at the same time. A second one starts only when it is full. So Redis need not
/// wait for this worker, and batches stay large.
const IN_FLIGHT: usize = 2;

/// Settles until `finish` fires and nothing is left.
pub(super) async fn run(
    core: Arc<Core>,
    mut ended: mpsc::UnboundedReceiver<EndedAttempt>,
    finish: CancellationToken,
) {
    let mut batch = Vec::with_capacity(MAX_ENDS);
    let mut under_way = FuturesUnordered::new();
    loop {
        let call = a_call_of(&batch);
        let full = batch.len() == MAX_ENDS || call < batch.len();
        let free = under_way.is_empty() || under_way.len() < IN_FLIGHT && full;
        if free && !batch.is_empty() {
            let rest = batch.split_off(call);
            under_way.push(settle(&core, std::mem::replace(&mut batch, rest)));
            continue;
        }
        let room = MAX_ENDS - batch.len();
        tokio::select! {
            biased;
            Some(()) = under_way.next() => {}
            n = ended.recv_many(&mut batch, room), if room > 0 => if n == 0 { break },
            () = finish.cancelled(), if batch.is_empty() && under_way.is_empty() => return,
        }
    }
    // All senders are gone.
    while under_way.next().await.is_some() {}
    while !batch.is_empty() {
        let rest = batch.split_off(a_call_of(&batch));
        settle(&core, std::mem::replace(&mut batch, rest)).await;
    }
}

/// How many of these ends a call takes: up to its limit, and until the bytes that Redis writes or
/// reads for them reach [`CALL_BYTES`].
fn a_call_of(batch: &[EndedAttempt]) -> usize {
    let sums = batch.iter().scan((0, 0), |(cost, bytes), ended| {
        let before = *bytes;
        *cost += cost_of(ended);
        *bytes += bytes_of(ended);
        Some((*cost, before))
    });
    sums.take_while(|(cost, before)| *cost <= 2 * MAX_ENDS && *before < CALL_BYTES).count()
}

/// The cost in halves of a success. Any other end costs Redis two or three times as much, because
/// it has a history and its own index.
fn cost_of(ended: &EndedAttempt) -> usize {
    if matches!(ended.disposition, Disposition::Succeed(_)) { 2 } else { 5 }
}

/// The outcome of a success. For any other end, and for a late success, Redis reads the job.
fn bytes_of(ended: &EndedAttempt) -> usize {
    let is_late = ended.expectation.is_some_and(|expectation| expectation.due < utc_ms());
    match &ended.disposition {
        Disposition::Succeed(outcome) if is_late => outcome.len() + ended.args,
        Disposition::Succeed(outcome) => outcome.len(),
        Disposition::Await { outcome, .. } | Disposition::Partly(outcome) => outcome.len() + ended.args,
        _ => ended.args,
    }
}

/// Writes a batch, and repeats until Redis answers, because an unwritten end means that the work
/// runs twice.
async fn settle(core: &Core, batch: Vec<EndedAttempt>) {
    let mut backoff = Backoff::default();
    loop {
        match core.settles.settle_at(core.worker(), &batch).await {
            Ok(settled) => {
                if core.outages.settles.ends() {
                    tracing::info!(queue = %core.options.queue, "writing ends works again");
                }
                core.clocks.note(&core.options.queue, &batch, &settled);
                return report(core, &settled.written);
            }
            Err(error) => {
                if core.outages.settles.begins(Cause::of(&error)) {
                    let why = told(&error);
                    tracing::warn!(queue = %core.options.queue, jobs = batch.len(), %why, "ends not written yet");
                }
                backoff.wait().await;
            }
        }
    }
}

fn report(core: &Core, written: &[bool]) {
    let refused = written.iter().filter(|written| !**written).count();
    if refused > 0 {
        // Also after a lost reply: the batch was written, and Redis refuses the second one. Either
        // way nothing is left to do.
        tracing::warn!(queue = %core.options.queue, refused, "late ends of attempts refused");
        metrics::counter!("job_queue_refused_total", "queue" => core.options.queue.to_string())
            .increment(refused as u64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::id::JobId;

    proptest! {
        #[test]
        fn a_call_takes_as_many_ends_as_redis_can_bear(
            // Whether it is a success, and the size of its outcome or of its arguments.
            ends in prop::collection::vec((any::<bool>(), 0..4usize), 1..400),
            large in prop::sample::select(vec![1, 1_000, 300_000]),
        ) {
            let ended = |&(success, times): &(bool, usize)| EndedAttempt {
                id: JobId::random(),
                token: 1,
                flow: String::new(),
                expectation: None,
                clock: None,
                args: if success { 4 * large } else { times * large },
                disposition: match success {
                    true => Disposition::Succeed("x".repeat(times * large)),
                    false => Disposition::Release { line: String::new() },
                },
            };
            let batch: Vec<EndedAttempt> = ends.iter().map(ended).collect();
            let call = a_call_of(&batch);
            let cost = |n: usize| batch.iter().take(n).map(cost_of).sum::<usize>();
            let bytes = |n: usize| ends.iter().take(n).map(|(_, times)| times).sum::<usize>() * large;
            prop_assert!(call >= 1 && call <= batch.len() && cost(call) <= 2 * MAX_ENDS);
            prop_assert!(bytes(call - 1) < CALL_BYTES);
            prop_assert!(call == batch.len() || cost(call + 1) > 2 * MAX_ENDS || bytes(call) >= CALL_BYTES);
        }
    }
}
