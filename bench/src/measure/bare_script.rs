//! What the machine does to any script: the slow calls of one that only counts.
//!
//! A core that the machine takes away for 5 ms makes a call slow whatever it does; a
//! virtual machine may do so when all cores that it has are used. So Upshot's slow calls
//! are shown beside those of a script that touches nothing: about as many calls as a
//! whole run has, on the same Redis, while another thread is as busy as a client is.

use std::time::{Duration, Instant};

use redis::{Script, aio::MultiplexedConnection};

use crate::{
    arguments::Amounts,
    slowlog::{self, Call},
    stage::Stage,
};

/// How long a call is to take: as a full one of ours does.
const LONG: Duration = Duration::from_micros(800);
/// How much of that time its client is busy, as one that enqueues or works off jobs is.
const BUSY: f64 = 0.7;
/// The key that tells its calls from others in the log.
const KEY: &str = "bare";

/// Counts for a while; adds its slow calls to those of the parts before.
pub async fn measure(stage: &Stage, amounts: Amounts, slow: &mut Vec<Call>) -> anyhow::Result<()> {
    let mut redis = stage.redis().await?;
    stage.note_slow_calls(&mut redis).await?;
    let script = Script::new("local n = 0 for i = 1, ARGV[1] do n = n + i end return #KEYS[1]");
    let steps = steps_of(LONG, &script, &mut redis).await?;
    for _ in 0..amounts.bare_calls {
        let busy = tokio::task::spawn_blocking(|| {
            let since = Instant::now();
            while since.elapsed() < LONG.mul_f64(BUSY) {
                std::hint::spin_loop();
            }
        });
        count(steps, &script, &mut redis).await?;
        busy.await?;
    }
    slow.extend(slowlog::take(&mut redis, KEY).await?);
    Ok(())
}

async fn count(steps: u64, script: &Script, redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let _: usize = script.key(format!("{KEY}:count")).arg(steps).invoke_async(redis).await?;
    Ok(())
}

/// How far it counts in that time.
async fn steps_of(time: Duration, script: &Script, redis: &mut MultiplexedConnection) -> anyhow::Result<u64> {
    const PROBE: u64 = 100_000;
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let since = Instant::now();
        count(PROBE, script, redis).await?;
        best = best.min(since.elapsed());
    }
    Ok((PROBE as f64 * time.as_secs_f64() / best.as_secs_f64()) as u64)
}
