//! What an enqueue, a claim and a completion cost beside a large backlog of many tenants.

use std::{slice::from_mut, time::Duration};

use redis::aio::MultiplexedConnection;
use upshot_queue::{
    JobId, NewJob, Queue,
    protocol::{Claim, End, Ended},
};

use super::bridge::transitions;
use crate::{
    arguments::Amounts,
    drain,
    figures::{Figures, percentile},
    load,
    stage::Stage,
};

/// Jobs of one call.
const BATCH: usize = 128;
/// Calls of each kind that are timed.
const CALLS: usize = 120;
/// Parts of the drain whose rates are compared.
const PARTS: usize = 5;

/// What a job costs Redis, µs: its own time in the script, as `INFO
/// commandstats` has it. The client's share and the network are left out,
/// because they do not depend on the backlog and would hide what does.
#[derive(Clone, Copy, Debug)]
struct Costs {
    enqueue: f64,
    claim: f64,
    complete: f64,
}

/// Costs with an empty queue, costs with the backlog, and the rate at which it is worked off.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    stage.flush().await?;
    let tenants = (amounts.backlog / 100).max(1);
    let queue = stage.queue()?;
    let mut redis = stage.redis().await?;
    // Once to warm up: the scripts are loaded, the allocator has its pages.
    costs(&queue, &mut redis, tenants, 0).await?;
    let empty = costs(&queue, &mut redis, tenants, 1).await?;
    let mut waiting = 0;
    while waiting < amounts.backlog {
        let jobs: Vec<NewJob> = (0..BATCH * 16).map(|i| job((waiting + i) % tenants, waiting + i)).collect();
        queue.enqueue(&jobs).await?;
        waiting += jobs.len();
    }
    let full = costs(&queue, &mut redis, tenants, 2).await?;
    println!("backlog of {waiting} in {tenants} tenants: µs a job empty {empty:.1?}, full {full:.1?}");
    figures.add("backlog_enqueue_ratio", full.enqueue / empty.enqueue);
    figures.add("backlog_claim_ratio", full.claim / empty.claim);
    figures.add("backlog_complete_ratio", full.complete / empty.complete);

    let (url, places) = (stage.redis_url(), concurrency.to_string());
    let mut service = stage.ourselves("worker", &["--redis", &url, "--concurrency", &places]).await?;
    let [_, server] = stage.servers();
    let succeeded = transitions(stage, "succeeded")?;
    let before: usize = succeeded.query_async(&mut redis).await?;
    let mut rates = Vec::new();
    for part in 1..=PARTS {
        let goal = before + waiting * part / PARTS;
        let drained = drain::on(stage, from_mut(&mut service), &[server], &succeeded, goal).await?;
        rates.push(drained.rate);
    }
    service.stop().await?;
    println!("drained in {PARTS} parts at {rates:.0?} jobs/s");
    let slowest = percentile(&mut rates.clone(), 0.0);
    figures.add("backlog_drain_jobs_per_s", percentile(&mut rates.clone(), 0.5));
    figures.add("backlog_drain_flatness", slowest / percentile(&mut rates, 1.0));
    stage.flush().await
}

fn job(tenant: usize, i: usize) -> NewJob {
    let mut job = NewJob::new(JobId::random(), "bench.noop", load::data(i));
    job.tenant = Some(format!("tenant-{tenant}"));
    job
}

async fn costs(
    queue: &Queue,
    redis: &mut MultiplexedConnection,
    tenants: usize,
    round: usize,
) -> anyhow::Result<Costs> {
    let mut spent = [Vec::new(), Vec::new(), Vec::new()];
    let mut last = script_us(redis).await?;
    for call in 0..CALLS {
        let first = (round * CALLS + call) * BATCH;
        let jobs: Vec<NewJob> = (first..first + BATCH).map(|i| job(i % tenants, i)).collect();
        queue.enqueue(&jobs).await?;
        let mut note = async |place: usize| {
            let now = script_us(redis).await?;
            if let Some(spent) = spent.get_mut(place) {
                spent.push((now - last) / BATCH as f64);
            }
            last = now;
            anyhow::Ok(())
        };
        note(0).await?;
        let number = first as u64 + 1;
        let lease = Duration::from_secs(60);
        let claim = Claim {
            worker: "bench",
            want: BATCH,
            lease,
            crashes: 3,
            number,
            shares: upshot_queue::Shares::default(),
        };
        let claimed = queue.claim(&claim).await?;
        note(1).await?;
        anyhow::ensure!(claimed.len() == BATCH, "{} of {BATCH} jobs were claimed", claimed.len());
        let mut ended = Vec::with_capacity(BATCH);
        for job in claimed.jobs(queue, "bench") {
            let job = job?;
            let flow = job.flow();
            ended.push(Ended { id: job.id, token: job.token, flow, end: End::Succeed("null".to_owned()) });
        }
        queue.settle("bench", &ended).await?;
        note(2).await?;
    }
    let [enqueue, claim, complete] = spent.map(|mut spent| percentile(&mut spent, 0.5));
    Ok(Costs { enqueue, claim, complete })
}

/// Time that Redis has spent in scripts so far, µs.
async fn script_us(redis: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let us = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
    Ok(us.unwrap_or("0").parse()?)
}
