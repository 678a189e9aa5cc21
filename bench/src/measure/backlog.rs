//! What an enqueue, a claim and a completion cost beside a large backlog of many tenants.

use std::slice::from_mut;

use upshot_queue::{JobId, NewJob};

use super::{
    bridge::transitions,
    full_calls::{CLAIM, ENDS},
};
use crate::{
    arguments::Amounts,
    calls::{Calls, Dearest, KINDS},
    drain,
    figures::{Figures, percentile},
    load,
    stage::{Stage, connect},
};

/// Calls of each kind that are timed. With those of full calls they stay below the
/// number of keys (2^20) at which Redis moves them all to a larger table, some with each
/// command: that would be measured instead.
const CALLS: usize = 120;
/// Lanes of an enqueue that is one call.
const LANES: usize = 20;
/// Parts of the drain whose rates are compared.
const PARTS: usize = 5;

/// Costs with an empty queue, costs with the backlog, and the rate at which it is worked off.
pub async fn measure(
    stage: &Stage,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
    dearest: &mut Dearest,
) -> anyhow::Result<()> {
    stage.flush().await?;
    let tenants = (amounts.backlog / 100).max(1);
    let beside = stage.another_redis().await?;
    let [_, server] = stage.servers();
    let job = move |i: usize| {
        let mut job = NewJob::new(JobId::random(), "bench.noop", load::data(i));
        job.tenant = Some(format!("tenant-{}", i % tenants));
        job
    };
    let mut empty = Calls::new(stage.queue_on(&beside)?, connect(&beside).await?, beside.pid(), LANES, job);
    let mut full = Calls::new(stage.queue()?, stage.redis().await?, server, LANES, job);
    let mut waiting = 0;
    while waiting < amounts.backlog {
        full.fill(LANES * 100).await?;
        waiting += LANES * 100;
    }
    // In turns, so that both have the same machine. Some to warm up: the scripts are
    // loaded, the allocator has its pages.
    for call in 0..CALLS + CALLS / 4 {
        if call == CALLS / 4 {
            empty.warmed_up();
            full.warmed_up();
        }
        empty.batch(CLAIM, CLAIM).await?;
        full.batch(CLAIM, CLAIM).await?;
    }
    // The time in the scripts as `INFO commandstats` has it. The client's share and the
    // network are left out, because they do not depend on the backlog and would hide what
    // does.
    let (empty_costs, full_costs) = (empty.costs(), full.costs());
    println!(
        "backlog of {waiting} in {tenants} tenants: {KINDS:?} µs a job, empty {empty_costs:.1?}, full {full_costs:.1?}"
    );
    let names = ["backlog_enqueue_ratio", "backlog_claim_ratio", "backlog_complete_ratio"];
    for (name, (full, empty)) in names.into_iter().zip(full_costs.into_iter().zip(empty_costs)) {
        figures.add(name, full / empty);
    }
    for _ in 0..CALLS / 2 {
        full.batch(ENDS, CLAIM).await?;
    }
    full.report("beside the backlog", dearest);
    empty.report("each job in a lane of its own", dearest);
    stage.note_slow_calls(empty.redis()).await?;
    beside.stop().await?;

    let mut redis = stage.redis().await?;
    let (url, places) = (stage.redis_url(), concurrency.to_string());
    let mut service = stage.ourselves("worker", &["--redis", &url, "--concurrency", &places]).await?;
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
