//! What sharing costs: the same no-op jobs in one lane without limits, and with
//! tenants, priorities, weights and limits.

use std::slice::from_mut;

use upshot_queue::{JobId, Limit, LimitKey, NewJob, Priority};

use super::bridge::transitions;
use crate::{
    arguments::Amounts,
    drain::{self, Drained},
    figures::Figures,
    load,
    stage::Stage,
};

const BULK: usize = 4096;
/// Tenants that share the queue.
const TENANTS: usize = 20;

/// Both in turns, and the ratio of the rates.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    // A drain takes a second, and the machine's speed changes within seconds.
    for round in 1..=2 * amounts.rounds + 1 {
        let plain = once(stage, amounts.jobs, concurrency, false).await?;
        let mixed = once(stage, amounts.jobs, concurrency, true).await?;
        println!("sharing, round {round}: {:.0} jobs/s plain, {:.0} mixed", plain.rate, mixed.rate);
        figures.add("mixed_jobs_per_s", mixed.rate);
        figures.add("mixed_cpu_ms", mixed.cpu_ms);
        figures.add("mixed_to_plain", mixed.rate / plain.rate);
        figures.add("mixed_to_plain_cpu", mixed.cpu_ms / plain.cpu_ms);
    }
    Ok(())
}

async fn once(stage: &Stage, n: usize, concurrency: usize, mixed: bool) -> anyhow::Result<Drained> {
    stage.flush().await?;
    let queue = stage.queue()?;
    if mixed {
        // Limits that are looked at and counted, and that hold nobody for long.
        queue.set_limit(&LimitKey::Queue, Limit::concurrency(100_000)).await?;
        queue.set_limit(&LimitKey::Key("provider".into()), Limit::concurrency(100_000)).await?;
        for tenant in 0..TENANTS / 2 {
            let key = LimitKey::Tenant(format!("tenant-{tenant}"));
            queue.set_limit(&key, Limit { concurrency: Some(1000), ..Limit::weight(2.0) }).await?;
        }
    }
    let mut done = 0;
    while done < n {
        let job = |i: usize| {
            let mut job = NewJob::new(JobId::random(), "bench.noop", load::data(i));
            if mixed {
                job.tenant = Some(format!("tenant-{}", i % TENANTS));
                job.priority = Priority::ALL.get(i / TENANTS % 4).copied().unwrap_or_default();
                job.limit_keys = vec!["provider".to_owned()];
            }
            job
        };
        let jobs: Vec<NewJob> = (done..n.min(done + BULK)).map(job).collect();
        queue.enqueue(&jobs).await?;
        done += jobs.len();
    }
    let (redis, places) = (stage.redis_url(), concurrency.to_string());
    let mut service = stage.ourselves("worker", &["--redis", &redis, "--concurrency", &places]).await?;
    let [_, server] = stage.servers();
    let succeeded = transitions(stage, "succeeded")?;
    let drained = drain::watch(stage, from_mut(&mut service), &[server], &succeeded, n).await?;
    service.stop().await?;
    Ok(drained)
}
