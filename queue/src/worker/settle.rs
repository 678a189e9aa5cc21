//! Writes how attempts ended, as many at once as ended meanwhile.

use std::sync::Arc;

use redis::RedisError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{connect::Backoff, protocol::Ended, scripts::MAX_BATCH};

/// Settles until `finish` fires and nothing is left.
pub(super) async fn run(
    core: Arc<Core>,
    mut ended: mpsc::UnboundedReceiver<Ended>,
    finish: CancellationToken,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            biased;
            n = ended.recv_many(&mut batch, MAX_BATCH) => if n == 0 { return },
            () = finish.cancelled() => return,
        }
        // Until Redis answers: an end that is not written is work done twice.
        loop {
            match settle(&core, &batch).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(queue = %core.options.queue, jobs = batch.len(), %error, "ends not written yet");
                    backoff.wait().await;
                }
            }
        }
        backoff.reset();
        batch.clear();
    }
}

async fn settle(core: &Core, batch: &[Ended]) -> Result<(), RedisError> {
    let written = core.settles.settle(&core.worker, batch).await?;
    let refused = written.iter().filter(|written| !**written).count();
    if refused > 0 {
        // Also after an answer that got lost: the batch was written then, and
        // is refused the second time. Either way nothing more is to be done.
        tracing::warn!(queue = %core.options.queue, refused, "late ends of attempts refused");
        metrics::counter!("upshot_queue_refused_total", "queue" => core.options.queue.to_string())
            .increment(refused as u64);
    }
    Ok(())
}
