//! Writes how attempts ended, as many at once as ended meanwhile.

use std::sync::Arc;

use redis::RedisError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{
    connect::Backoff,
    failure::FailureClass,
    id::JobId,
    scripts::{self, Call, MAX_BATCH},
};

/// An attempt that ended.
pub(super) struct Ended {
    pub(super) id: JobId,
    pub(super) token: u64,
    pub(super) end: End,
}

/// How an attempt ended.
pub(super) enum End {
    /// With an outcome, as JSON.
    Succeed(String),
    /// With a failure, to run again.
    Retry { delay_ms: u64, class: FailureClass, line: String },
    /// With a failure, not to run again.
    Bury { class: FailureClass, line: String },
    /// It did not really start.
    Release,
}

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
    let keys = core.settles.keys();
    let (ready, scheduled, running) = (keys.ready(), keys.scheduled(), keys.running());
    let (succeeded, dead, stats) = (keys.succeeded(), keys.dead(), keys.stats());
    let mut call = Call::new(&scripts::COMPLETE, &[&ready, &scheduled, &running, &succeeded, &dead, &stats]);
    call.arg(keys.job_prefix()).arg(keys.wake()).arg(keys.changes()).arg(core.options.history_bytes);
    call.arg(core.worker.as_str()).arg(batch.len());
    for Ended { id, token, end } in batch {
        call.arg(id.as_str()).arg(*token);
        match end {
            End::Succeed(outcome) => call.arg("succeed").arg(0).arg("").arg(outcome.as_str()),
            End::Retry { delay_ms, class, line } => {
                call.arg("retry").arg(*delay_ms).arg(class.as_str()).arg(line.as_str())
            }
            End::Bury { class, line } => call.arg("bury").arg(0).arg(class.as_str()).arg(line.as_str()),
            End::Release => call.arg("release").arg(0).arg("").arg(""),
        };
    }
    let verdicts: Vec<u8> = call.run(&mut core.settles.conn.clone()).await?;
    let refused = verdicts.iter().filter(|written| **written == 0).count();
    if refused > 0 {
        // Also after an answer that got lost: the batch was written then, and
        // is refused the second time. Either way nothing more is to be done.
        tracing::warn!(queue = %core.options.queue, refused, "late ends of attempts refused");
        metrics::counter!("upshot_queue_refused_total", "queue" => core.options.queue.to_string())
            .increment(refused as u64);
    }
    Ok(())
}
