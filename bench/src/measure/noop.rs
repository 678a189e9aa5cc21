//! Jobs that do nothing: enqueued in bulk, then worked off by one process.

use std::time::Instant;

use upshot_queue::{JobId, NewJob};

use super::bridge::transitions;
use crate::{arguments::Amounts, drain, figures::Figures, load, stage::Stage};

/// Jobs that are put together at a time; a script takes at most 256 of them.
const BULK: usize = 4096;

/// Rounds of enqueueing and working off.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for round in 1..=amounts.rounds {
        stage.flush().await?;
        let enqueued = enqueue(stage, amounts.jobs).await?;
        let (redis, places) = (stage.redis_url(), concurrency.to_string());
        let mut service = stage.ourselves("worker", &["--redis", &redis, "--concurrency", &places]).await?;
        let drained =
            drain::watch(stage, &mut service, &transitions(stage, "succeeded")?, amounts.jobs).await?;
        service.stop().await?;
        println!(
            "no-op, round {round}: {:.0} jobs/s, {enqueued:.0} enqueued/s; others kept {:.2} cores busy",
            drained.rate, drained.others
        );
        figures.add("enqueue_jobs_per_s", enqueued);
        figures.add("noop_jobs_per_s", drained.rate);
        figures.add("noop_cpu_ms", drained.cpu_ms);
    }
    Ok(())
}

/// Enqueues jobs of 300 bytes; how many a second.
async fn enqueue(stage: &Stage, n: usize) -> anyhow::Result<f64> {
    let queue = stage.queue()?;
    let since = Instant::now();
    let mut done = 0;
    while done < n {
        let bulk = BULK.min(n - done);
        let jobs: Vec<NewJob> =
            (0..bulk).map(|i| NewJob::new(JobId::random(), "bench.noop", load::data(done + i))).collect();
        queue.enqueue(&jobs).await?;
        done += bulk;
    }
    Ok(n as f64 / since.elapsed().as_secs_f64())
}
