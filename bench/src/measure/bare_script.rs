//! What the machine does to any script: the slow calls of one that only reads and writes.
//!
//! A machine that takes the core away for 5 ms, or is slow with memory for as long, makes
//! a call slow whatever it does. So Upshot's slow calls are shown beside those of a script
//! that decides nothing, keeps nothing and does the same small step again and again: on
//! the same Redis, in parts between all measurements, while another thread is as busy as
//! a client is.

use std::time::{Duration, Instant};

use redis::{Script, aio::MultiplexedConnection};

use crate::{
    arguments::Amounts,
    slowlog::{self, Call, Slow},
    stage::Stage,
};

/// How long a call is to take: as a full one of ours does.
const LONG: Duration = Duration::from_micros(800);
/// How much of that time its client is busy, as one that enqueues or works off jobs is.
const BUSY: f64 = 0.7;
/// The key that tells its calls from others in the log.
const KEY: &str = "bare";
/// Values it goes through, as many as there are jobs in most of the measurements, and
/// the bytes of each, about those of a job.
const VALUES: usize = 100_000;
const BYTES: usize = 500;
/// Values in one command when they are put in.
const FILL: usize = 500;
/// Reads a value and writes its beginning again, as often as it is told to. The next one
/// is found by a linear congruence that comes to each of the [`VALUES`], far apart.
///
/// KEYS what the keys of its values begin with
/// ARGV how many steps; the value to go on from; how many values there are
const STEPS: &str = "
    local at = tonumber(ARGV[2])
    for _ = 1, ARGV[1] do
        at = (at * 1101 + 12347) % ARGV[3]
        local key = KEYS[1] .. ':' .. at
        redis.call('SETRANGE', key, 0, string.sub(redis.call('GET', key), 1, 8))
    end
    return at";

/// The script, and its slow calls so far.
#[derive(Debug)]
pub struct BareScript {
    script: Script,
    calls: usize,
    slow: Vec<Call>,
}

impl BareScript {
    /// Before anything is measured.
    pub fn new(amounts: Amounts) -> Self {
        Self { script: Script::new(STEPS), calls: amounts.bare_calls, slow: Vec::new() }
    }

    /// Another part of its calls.
    pub async fn part(&mut self, stage: &Stage) -> anyhow::Result<()> {
        stage.flush().await?;
        let mut redis = stage.redis().await?;
        fill(&mut redis).await?;
        let steps = self.steps_of(LONG, &mut redis).await?;
        slowlog::take(&mut redis, KEY).await?;
        for number in 0..self.calls {
            let busy = tokio::task::spawn_blocking(|| {
                let since = Instant::now();
                while since.elapsed() < LONG.mul_f64(BUSY) {
                    std::hint::spin_loop();
                }
            });
            self.call(steps, number, &mut redis).await?;
            busy.await?;
        }
        self.slow.extend(slowlog::take(&mut redis, KEY).await?);
        stage.flush().await
    }

    /// Its slow calls of all parts.
    pub fn slow_calls(self) -> Vec<Slow> {
        slowlog::by_script(self.slow)
    }

    async fn call(
        &self,
        steps: usize,
        number: usize,
        redis: &mut MultiplexedConnection,
    ) -> anyhow::Result<()> {
        let key = format!("{KEY}:value");
        let _: usize = self.script.key(key).arg(steps).arg(number).arg(VALUES).invoke_async(redis).await?;
        Ok(())
    }

    /// How many steps it does in that time.
    async fn steps_of(&self, time: Duration, redis: &mut MultiplexedConnection) -> anyhow::Result<usize> {
        const PROBE: usize = 200;
        let mut best = Duration::MAX;
        for number in 0..100 {
            let since = Instant::now();
            self.call(PROBE, number, redis).await?;
            best = best.min(since.elapsed());
        }
        Ok((PROBE as f64 * time.as_secs_f64() / best.as_secs_f64()) as usize)
    }
}

/// Puts its values in.
async fn fill(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let value = "x".repeat(BYTES);
    for first in (0..VALUES).step_by(FILL) {
        let mut all = redis::cmd("MSET");
        for number in first..(first + FILL).min(VALUES) {
            all.arg(format!("{KEY}:value:{number}")).arg(&value);
        }
        () = all.query_async(redis).await?;
    }
    Ok(())
}
