//! What sharing costs: the same no-op jobs in one lane without limits, and with
//! tenants, priorities, weights and limits.

use std::slice::from_mut;

use upshot_queue::{Client, JobId, Limit, LimitKey, NewJob, Operator, Priority};

use super::bridge::transitions;
use crate::{
    arguments::Amounts,
    calls::script_us,
    drain::{self, Drained},
    figures::Figures,
    load,
    stage::Stage,
};

const BULK: usize = 4096;
/// Tenants that share the queue.
const TENANTS: usize = 20;

/// Both in turns, and the ratio of the rates. Also prints what the scripts took of Redis.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    // A drain takes a second, and the machine's speed changes within seconds: many rounds,
    // and either goes first in every other one.
    for round in 1..=4 * amounts.rounds + 3 {
        let first = once(stage, amounts.jobs, concurrency, round % 2 == 0).await?;
        let second = once(stage, amounts.jobs, concurrency, round % 2 == 1).await?;
        let ((plain, plain_us), (mixed, mixed_us)) =
            if round % 2 == 1 { (first, second) } else { (second, first) };
        println!(
            "sharing, round {round}: {:.0} jobs/s plain, {:.0} mixed; in scripts {:.2} and {:.2} µs a job",
            plain.rate, mixed.rate, plain_us, mixed_us
        );
        figures.add("mixed_jobs_per_s", mixed.rate);
        figures.add("mixed_cpu_ms", mixed.cpu_ms);
        figures.add("mixed_to_plain", mixed.rate / plain.rate);
        figures.add("mixed_to_plain_cpu", mixed.cpu_ms / plain.cpu_ms);
    }
    Ok(())
}

async fn once(stage: &Stage, n: usize, concurrency: usize, mixed: bool) -> anyhow::Result<(Drained, f64)> {
    stage.flush().await?;
    let queue = stage.queue()?;
    if mixed {
        set_limits(&queue).await?;
    }
    let mut done = 0;
    while done < n {
        let job = |i| if mixed { shared_job(i) } else { plain_job(i) };
        let jobs: Vec<NewJob> = (done..n.min(done + BULK)).map(job).collect();
        queue.enqueue(&jobs).await?;
        done += jobs.len();
    }
    let before = script_us(&mut stage.redis().await?).await?;
    let (redis, places) = (stage.redis_url(), concurrency.to_string());
    let mut service = stage.ourselves("worker", &["--redis", &redis, "--concurrency", &places]).await?;
    let [_, server] = stage.servers();
    let succeeded = transitions(stage, "succeeded")?;
    let drained = drain::watch(stage, from_mut(&mut service), &[server], &succeeded, n).await?;
    service.stop().await?;
    let after = script_us(&mut stage.redis().await?).await?;
    Ok((drained, (after - before) / n as f64))
}

/// Limits that are read and counted, and that delay no job for long.
pub(super) async fn set_limits(queue: &Client) -> anyhow::Result<()> {
    let operator = Operator::new(queue.clone());
    operator.set_limit(&LimitKey::Queue, Limit::concurrency(100_000)).await?;
    operator.set_limit(&LimitKey::Key("provider".into()), Limit::concurrency(100_000)).await?;
    for tenant in 0..TENANTS / 2 {
        let key = LimitKey::Tenant(format!("tenant-{tenant}"));
        operator.set_limit(&key, Limit { concurrency: Some(1000), ..Limit::weight(2.0) }).await?;
    }
    Ok(())
}

pub(super) fn plain_job(i: usize) -> NewJob {
    NewJob::new(JobId::random(), "bench.noop", load::data(i))
}

pub(super) fn shared_job(i: usize) -> NewJob {
    let mut job = plain_job(i);
    job.tenant = Some(format!("tenant-{}", i % TENANTS));
    job.priority = Priority::ALL.get(i / TENANTS % 4).copied().unwrap_or_default();
    job.limit_keys = vec!["provider".to_owned()];
    job
}
