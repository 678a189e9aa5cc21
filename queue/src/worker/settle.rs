//! Writes how attempts ended, as many at once as ended meanwhile.

use std::sync::Arc;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{connect::Backoff, protocol::Ended, scripts::MAX_BATCH};

/// Batches that are under way to Redis at once. A second one goes only when it is
/// full: so Redis need not wait for us, and batches stay as large as they can be.
const IN_FLIGHT: usize = 2;

/// Settles until `finish` fires and nothing is left.
pub(super) async fn run(
    core: Arc<Core>,
    mut ended: mpsc::UnboundedReceiver<Ended>,
    finish: CancellationToken,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut under_way = FuturesUnordered::new();
    loop {
        let free = under_way.is_empty() || under_way.len() < IN_FLIGHT && batch.len() == MAX_BATCH;
        if free && !batch.is_empty() {
            under_way.push(settle(&core, std::mem::replace(&mut batch, Vec::with_capacity(MAX_BATCH))));
        }
        let room = MAX_BATCH - batch.len();
        tokio::select! {
            biased;
            Some(()) = under_way.next() => {}
            n = ended.recv_many(&mut batch, room), if room > 0 => if n == 0 { break },
            () = finish.cancelled(), if batch.is_empty() && under_way.is_empty() => return,
        }
    }
    // Nobody is left who could say anything.
    while under_way.next().await.is_some() {}
    if !batch.is_empty() {
        settle(&core, batch).await;
    }
}

/// Writes a batch, until Redis answers: an end that is not written is work done twice.
async fn settle(core: &Core, batch: Vec<Ended>) {
    let mut backoff = Backoff::default();
    loop {
        match core.settles.settle(&core.worker, &batch).await {
            Ok(written) => return report(core, &written),
            Err(error) => {
                tracing::warn!(queue = %core.options.queue, jobs = batch.len(), %error, "ends not written yet");
                backoff.wait().await;
            }
        }
    }
}

fn report(core: &Core, written: &[bool]) {
    let refused = written.iter().filter(|written| !**written).count();
    if refused > 0 {
        // Also after an answer that got lost: the batch was written then, and
        // is refused the second time. Either way nothing more is to be done.
        tracing::warn!(queue = %core.options.queue, refused, "late ends of attempts refused");
        metrics::counter!("upshot_queue_refused_total", "queue" => core.options.queue.to_string())
            .increment(refused as u64);
    }
}
