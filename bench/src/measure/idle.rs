//! What a worker costs that has nothing to do.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use crate::{
    arguments::Amounts,
    figures::Figures,
    stage::{Stage, info},
    usage,
};

/// Until its connections are made and its first looks are over.
const SETTLE: Duration = Duration::from_secs(2);

/// Watches one worker of an empty queue.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    stage.flush().await?;
    let mut redis = stage.redis().await?;
    let address = stage.redis_url();
    let mut service = stage.ourselves("worker", &["--redis", &address, "--concurrency", "16"]).await?;
    tokio::time::sleep(SETTLE).await;
    service.check()?;

    let (since, cpu) = (Instant::now(), usage::threads(service.pid())?);
    let before = commands(&mut redis).await?;
    tokio::time::sleep(Duration::from_secs(amounts.idle_seconds)).await;
    // Redis counts a command when it has run: the first question, and not the second.
    let growth = commands(&mut redis).await?.saturating_sub(before + 1);
    let used = usage::threads(service.pid())?.saturating_sub(cpu);
    let took = since.elapsed().as_secs_f64();
    service.check()?;
    service.stop().await?;

    let percent = 100.0 * used.as_secs_f64() / took;
    let rate = growth as f64 / took;
    println!("idle: {percent:.2} % of a core, {rate:.1} Redis commands a second");
    figures.add("idle_worker_cpu_percent", percent);
    figures.add("idle_redis_commands_per_s", rate);
    Ok(())
}

/// Commands that Redis has run, those inside scripts too.
async fn commands(redis: &mut MultiplexedConnection) -> anyhow::Result<u64> {
    Ok(info(redis, "total_commands_processed").await?.parse()?)
}
