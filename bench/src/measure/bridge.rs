//! The bridge beside a bare loop, on the same events in the same queue, in
//! turns; and the memory that its jobs take.

use std::slice::from_mut;

use crate::{
    arguments::Amounts,
    bare_loop,
    drain::{self, Drained},
    figures::Figures,
    load::Producer,
    stage::Stage,
};

/// Rounds of both, one after the other, so that other work of the machine affects both.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    for round in 1..=amounts.rounds {
        let bare = bare(stage, amounts.events).await?;
        let bridge = bridge(stage, amounts.events, figures).await?;
        println!(
            "bridge, round {round}: {:.0} events/s, bare loop {:.0}; others kept {:.2} and {:.2} cores busy",
            bridge.rate, bare.rate, bridge.others, bare.others
        );
        figures.add("bare_loop_events_per_s", bare.rate);
        figures.add("bare_loop_cpu_ms", bare.cpu_ms);
        figures.add("bridge_events_per_s", bridge.rate);
        figures.add("bridge_cpu_ms", bridge.cpu_ms);
        figures.add("bridge_to_bare_loop", bridge.rate / bare.rate);
    }
    Ok(())
}

async fn bare(stage: &Stage, n: usize) -> anyhow::Result<Drained> {
    prepare(stage, n).await?;
    let (amqp, redis) = (stage.amqp(), stage.redis_url());
    let mut service = stage.ourselves("bare-loop", &["--amqp", &amqp, "--redis", &redis]).await?;
    let mut list = redis::cmd("LLEN");
    list.arg(bare_loop::LIST);
    let drained = drain::watch(stage, from_mut(&mut service), &stage.servers(), &list, n).await?;
    service.stop().await?;
    Ok(drained)
}

async fn bridge(stage: &Stage, n: usize, figures: &mut Figures) -> anyhow::Result<Drained> {
    prepare(stage, n).await?;
    let empty = stage.redis_memory().await?;
    let mut service = stage.upshot("bridge", &[]).await?;
    let drained =
        drain::watch(stage, from_mut(&mut service), &stage.servers(), &transitions(stage, "enqueued")?, n)
            .await?;
    service.stop().await?;
    let waiting = stage.redis_memory().await?;
    figures.add("redis_bytes_per_waiting_job", (waiting - empty) / n as f64);

    let redis = stage.redis_url();
    let mut service = stage.ourselves("worker", &["--redis", &redis, "--concurrency", "256"]).await?;
    let done = transitions(stage, "succeeded")?;
    drain::watch(stage, from_mut(&mut service), &stage.servers(), &done, n).await?;
    service.stop().await?;
    let finished = stage.redis_memory().await?;
    figures.add("redis_bytes_per_finished_job", (finished - empty) / n as f64);
    Ok(drained)
}

/// An empty Redis, and this many events that wait for a bridge.
async fn prepare(stage: &Stage, n: usize) -> anyhow::Result<()> {
    stage.flush().await?;
    let producer = Producer::connect(&stage.amqp()).await?;
    producer.publish_many(n).await?;
    producer.close().await
}

/// Reads how many transitions of a name there were.
pub fn transitions(stage: &Stage, name: &str) -> anyhow::Result<redis::Cmd> {
    let mut count = redis::cmd("HGET");
    count.arg(stage.queue()?.keys().stats()).arg(name);
    Ok(count)
}
