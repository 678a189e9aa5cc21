//! From enqueue to the start of the handler: Redis and the worker alone.

use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use upshot_queue::{Client, JobId, NewJob, WorkerOptions};

use crate::{
    arguments::Amounts,
    figures::{Figures, percentile},
    load,
    stage::{QUEUE, Stage},
    worker,
};

/// Low enough that every job finds an idle worker.
pub const LOW_RATE: u32 = 50;
/// Jobs before the measured ones, so that connections and caches are warm.
const WARM_UP: usize = 200;
/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds at the low rate.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    for number in 1..=amounts.rounds {
        round(stage, amounts.seconds, number, figures).await?;
    }
    Ok(())
}

/// One round at the low rate.
pub async fn round(stage: &Stage, seconds: u64, number: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let mut waits = waits(stage, LOW_RATE, seconds).await?;
    println!("enqueue to start, round {number}: {}", shown(&mut waits));
    figures.add("queue_start_ms_p50", percentile(&mut waits, 0.5));
    figures.add("queue_start_ms_p99", percentile(&mut waits, 0.99));
    Ok(())
}

/// Waits in ms as a line.
pub fn shown(waits: &mut [f64]) -> String {
    let [p50, p99, longest] = [0.5, 0.99, 1.0].map(|share| percentile(waits, share));
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms, longest {longest:.1} ms of {} jobs", waits.len())
}

/// How long each job waited, ms. Producer and worker are in this process, so
/// that one clock tells both times; Redis is not.
pub async fn waits(stage: &Stage, rate: u32, seconds: u64) -> anyhow::Result<Vec<f64>> {
    stage.flush().await?;
    let (sender, mut starts) = mpsc::unbounded_channel();
    let options = WorkerOptions::new(QUEUE.parse()?);
    let working = tokio::spawn(worker::work(stage.connector()?, options, move |job| {
        let now = load::now_ns();
        if let Some(at) = load::published_ns(&job.args) {
            // The receiver is gone only after the measurement.
            let _ = sender.send(now.saturating_sub(at) as f64 / 1e6);
        }
        async { Ok(Value::Null) }
    }));
    let _working = AbortOnDropHandle::new(working);
    let queue = stage.queue()?;
    enqueue(&queue, &mut starts, rate, WARM_UP).await?;
    enqueue(&queue, &mut starts, rate, rate as usize * usize::try_from(seconds)?).await
}

/// Enqueues `n` jobs at the rate, one a call.
async fn enqueue(
    queue: &Client,
    starts: &mut mpsc::UnboundedReceiver<f64>,
    rate: u32,
    n: usize,
) -> anyhow::Result<Vec<f64>> {
    let enqueueing = load::ticks(rate)
        .take(n)
        .map(|number| async move {
            // Its data says when it was made, which is now.
            let job = NewJob::new(JobId::random(), "bench.noop", load::data(number));
            queue.enqueue(&[job]).await
        })
        .buffer_unordered(rate as usize)
        .try_for_each(|_| async { Ok(()) });
    let starting = async {
        let mut waits = Vec::with_capacity(n);
        while waits.len() < n {
            let next = tokio::time::timeout(PATIENCE, starts.recv()).await;
            waits.push(
                next.with_context(|| format!("only {} of {n} started", waits.len()))?.context("no worker")?,
            );
        }
        anyhow::Ok(waits)
    };
    let enqueueing = async { Ok(enqueueing.await?) };
    let ((), waits) = tokio::try_join!(enqueueing, starting)?;
    Ok(waits)
}
