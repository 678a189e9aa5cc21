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
    stage::{Stage, connect},
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
    let beside = stage.another_redis().await?;
    let mut empty = Side::new(stage.queue_on(&beside)?, connect(&beside).await?, tenants);
    let mut full = Side::new(stage.queue()?, stage.redis().await?, tenants);
    let mut waiting = 0;
    while waiting < amounts.backlog {
        let jobs: Vec<NewJob> = (0..BATCH * 16).map(|i| job((waiting + i) % tenants, waiting + i)).collect();
        full.queue.enqueue(&jobs).await?;
        waiting += jobs.len();
    }
    // In turns, so that both have the same machine. Some to warm up: the scripts are
    // loaded, the allocator has its pages.
    for call in 0..CALLS + CALLS / 4 {
        if call == CALLS / 4 {
            empty.spent = Spent::default();
            full.spent = Spent::default();
        }
        empty.call(call).await?;
        full.call(call).await?;
    }
    let (empty_costs, full_costs) = (empty.costs(), full.costs());
    println!(
        "backlog of {waiting} in {tenants} tenants: µs a job empty {empty_costs:.1?}, full {full_costs:.1?}"
    );
    figures.add("backlog_enqueue_ratio", full_costs.enqueue / empty_costs.enqueue);
    figures.add("backlog_claim_ratio", full_costs.claim / empty_costs.claim);
    figures.add("backlog_complete_ratio", full_costs.complete / empty_costs.complete);
    stage.note_slow_calls(&mut empty.redis).await?;
    beside.stop().await?;

    let mut redis = stage.redis().await?;
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

/// What calls of each kind took, µs a job.
type Spent = [Vec<f64>; 3];

/// A queue that is measured.
struct Side {
    queue: Queue,
    redis: MultiplexedConnection,
    tenants: usize,
    /// Of the last claim.
    number: u64,
    spent: Spent,
}

impl Side {
    fn new(queue: Queue, redis: MultiplexedConnection, tenants: usize) -> Self {
        Self { queue, redis, tenants, number: 0, spent: Spent::default() }
    }

    /// Enqueues, claims and completes a batch.
    async fn call(&mut self, call: usize) -> anyhow::Result<()> {
        let mut last = script_us(&mut self.redis).await?;
        let first = call * BATCH;
        let jobs: Vec<NewJob> = (first..first + BATCH).map(|i| job(i % self.tenants, i)).collect();
        self.queue.enqueue(&jobs).await?;
        last = self.note(0, last).await?;
        let mut ended = Vec::with_capacity(BATCH);
        // A call ends early where lanes have few jobs each.
        while ended.len() < BATCH {
            self.number += 1;
            let want = BATCH - ended.len();
            let claim = Claim {
                worker: "bench",
                want,
                lease: Duration::from_secs(60),
                crashes: 3,
                number: self.number,
                shares: upshot_queue::Shares::default(),
                // As for a worker that is this quick.
                ahead: want,
            };
            let claimed = self.queue.claim(&claim).await?;
            anyhow::ensure!(!claimed.is_empty(), "{} of {BATCH} jobs were claimed", ended.len());
            for job in claimed.jobs(&self.queue, "bench") {
                let job = job?;
                let flow = job.flow();
                ended.push(Ended {
                    id: job.id,
                    token: job.token,
                    flow,
                    end: End::Succeed("null".to_owned()),
                });
            }
        }
        last = self.note(1, last).await?;
        self.queue.settle("bench", &ended).await?;
        self.note(2, last).await?;
        Ok(())
    }

    async fn note(&mut self, kind: usize, last: f64) -> anyhow::Result<f64> {
        let now = script_us(&mut self.redis).await?;
        if let Some(spent) = self.spent.get_mut(kind) {
            spent.push((now - last) / BATCH as f64);
        }
        Ok(now)
    }

    fn costs(&mut self) -> Costs {
        let [enqueue, claim, complete] = self.spent.each_mut().map(|spent| percentile(spent, 0.5));
        Costs { enqueue, claim, complete }
    }
}

/// Time that Redis has spent in scripts so far, µs.
pub(super) async fn script_us(redis: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let us = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
    Ok(us.unwrap_or("0").parse()?)
}
