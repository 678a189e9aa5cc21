//! The rate at which a process works off what was prepared for it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use redis::{Cmd, aio::MultiplexedConnection};

use crate::{service::Service, stage::Stage, usage::Cpu};

/// Rarely enough not to weigh on what is measured.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a drain went.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// A second.
    pub rate: f64,
    /// CPU of the processes and the servers, ms for each.
    pub cpu_ms: f64,
    /// Cores that other programs kept busy.
    pub others: f64,
}

/// Waits until `done` of `n` are there and says how it went from the first
/// ones on. The start of the processes is not part of it.
pub async fn watch(
    stage: &Stage,
    services: &mut [Service],
    servers: &[u32],
    done: &Cmd,
    n: usize,
) -> anyhow::Result<Drained> {
    let mut redis = stage.redis().await?;
    let processes: Vec<u32> = services.iter().map(Service::pid).chain(servers.iter().copied()).collect();
    let first = until(&mut redis, services, done, 1).await?;
    let (since, before) = (Instant::now(), Cpu::of(&processes)?);
    let last = until(&mut redis, services, done, n).await?;
    let took = since.elapsed();
    let used = Cpu::of(&processes)?.since(before);
    ensure!(
        first < n && last == n,
        "{first} were done at the first look, {last} at the last, {n} were expected"
    );
    Ok(Drained {
        rate: (last - first) as f64 / took.as_secs_f64(),
        cpu_ms: used.ms_each(last - first),
        others: used.others(took),
    })
}

/// The same from now on, until `goal` are done.
pub async fn on(
    stage: &Stage,
    services: &mut [Service],
    servers: &[u32],
    done: &Cmd,
    goal: usize,
) -> anyhow::Result<Drained> {
    let mut redis = stage.redis().await?;
    let processes: Vec<u32> = services.iter().map(Service::pid).chain(servers.iter().copied()).collect();
    let first = until(&mut redis, services, done, 0).await?;
    let (since, before) = (Instant::now(), Cpu::of(&processes)?);
    let last = until(&mut redis, services, done, goal).await?;
    let took = since.elapsed();
    let used = Cpu::of(&processes)?.since(before);
    let n = last.saturating_sub(first).max(1);
    Ok(Drained { rate: n as f64 / took.as_secs_f64(), cpu_ms: used.ms_each(n), others: used.others(took) })
}

async fn until(
    redis: &mut MultiplexedConnection,
    services: &mut [Service],
    done: &Cmd,
    n: usize,
) -> anyhow::Result<usize> {
    let since = Instant::now();
    loop {
        let count: Option<usize> = done.query_async(redis).await?;
        match count {
            Some(count) if count >= n => return Ok(count),
            count => {
                ensure!(since.elapsed() < PATIENCE, "only {count:?} of {n} were done within {PATIENCE:?}")
            }
        }
        services.iter_mut().try_for_each(Service::check)?;
        tokio::time::sleep(LOOK).await;
    }
}
