//! Jobs that do nothing: enqueued in bulk, then worked off by one process.

use std::{
    slice::from_mut,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, future, stream};
use upshot_queue::{Expect, JobId, NewJob};

use super::bridge::transitions;
use crate::{
    arguments::Amounts,
    drain::{self, Drained},
    figures::Figures,
    load,
    stage::Stage,
};

/// Jobs that are put together at a time; a script takes at most 128 of them.
const BULK: usize = 4096;
/// Bulks at once, as with the peer's best setting: one is put together while the other
/// is under way.
const AT_ONCE: usize = 2;

/// Rounds of enqueueing and working off.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for number in 1..=amounts.rounds {
        round(stage, amounts.jobs, concurrency, number, figures).await?;
    }
    Ok(())
}

/// One round; how the working off went.
pub async fn round(
    stage: &Stage,
    n: usize,
    concurrency: usize,
    number: usize,
    figures: &mut Figures,
) -> anyhow::Result<Drained> {
    stage.flush().await?;
    let empty = stage.redis_memory().await?;
    let enqueued = enqueue(stage, n).await?;
    let waiting = stage.redis_memory().await?;
    let (redis, places) = (stage.redis_url(), concurrency.to_string());
    let mut service = stage.ourselves("worker", &["--redis", &redis, "--concurrency", &places]).await?;
    // RabbitMQ has no part in this.
    let [_, server] = stage.servers();
    let done = transitions(stage, "succeeded")?;
    let drained = drain::watch(stage, from_mut(&mut service), &[server], &done, n).await?;
    service.stop().await?;
    let finished = stage.redis_memory().await?;
    println!(
        "no-op, round {number}: {:.0} jobs/s, {enqueued:.0} enqueued/s; others kept {:.2} cores busy",
        drained.rate, drained.others
    );
    figures.add("enqueue_jobs_per_s", enqueued);
    figures.add("noop_jobs_per_s", drained.rate);
    figures.add("noop_cpu_ms", drained.cpu_ms);
    figures.add("noop_bytes_waiting", (waiting - empty) / n as f64);
    figures.add("noop_bytes_finished", (finished - empty) / n as f64);
    Ok(drained)
}

/// Enqueues jobs of 300 bytes; how many a second.
async fn enqueue(stage: &Stage, n: usize) -> anyhow::Result<f64> {
    let queue = &stage.queue()?;
    let since = Instant::now();
    let bulks = (0..n).step_by(BULK).map(|first| async move {
        let jobs: Vec<NewJob> = (first..n.min(first + BULK))
            .map(|i| NewJob {
                expect: Some(Expect::new("bench", Duration::from_secs(3600))),
                ..NewJob::new(JobId::random(), "bench.noop", load::data(i))
            })
            .collect();
        queue.enqueue(&jobs).await
    });
    stream::iter(bulks).buffer_unordered(AT_ONCE).try_for_each(|_| future::ok(())).await?;
    Ok(n as f64 / since.elapsed().as_secs_f64())
}
