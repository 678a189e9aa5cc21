//! How long the jobs of a killed worker wait until they run elsewhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::Value;
use upshot_queue::{JobId, NewJob, State, WorkerOptions};

use crate::{
    arguments::Amounts,
    figures::{Figures, percentile},
    stage::{QUEUE, Stage},
    worker,
};

/// Jobs that the killed worker holds.
const JOBS: usize = 20;
/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills a worker that holds twenty jobs, several times, with default settings.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    let mut waits = Vec::new();
    for round in 0..amounts.kills {
        stage.flush().await?;
        let queue = stage.queue()?;
        let jobs: Vec<NewJob> = (0..JOBS).map(|_| NewJob::new(JobId::random(), "bench.hang", "")).collect();
        queue.enqueue(&jobs).await?;
        let (redis, places) = (stage.redis_url(), JOBS.to_string());
        let arguments = ["--redis", &redis, "--concurrency", &places, "--hang"];
        let victim = stage.ourselves("worker", &arguments).await?;
        wait(async || queue.counts().await.is_ok_and(|counts| counts.of(State::Running) == JOBS as u64))
            .await?;
        // Not always at the same distance from a renewal.
        tokio::time::sleep(Duration::from_millis(2_000 + 137 * round as u64 % 2_000)).await;
        let started: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
        let seen = Arc::clone(&started);
        let heir = worker::work(stage.connector()?, WorkerOptions::new(QUEUE.parse()?), move |job| {
            let seen = Arc::clone(&seen);
            async move {
                if let Ok(mut seen) = seen.lock() {
                    seen.insert(job.id.to_string(), Instant::now());
                }
                Ok(Value::Null)
            }
        });
        victim.kill()?;
        let killed = Instant::now();
        let all = async || started.lock().is_ok_and(|seen| seen.len() == JOBS);
        tokio::select! {
            ended = heir => ended?,
            all = wait(all) => all?,
        }
        if let Ok(seen) = started.lock() {
            waits.extend(seen.values().map(|at| at.saturating_duration_since(killed).as_secs_f64()));
        }
    }
    println!("take-over: {} jobs of {} killed workers", waits.len(), amounts.kills);
    figures.add("takeover_s_p50", percentile(&mut waits, 0.5));
    figures.add("takeover_s_p99", percentile(&mut waits, 0.99));
    Ok(())
}

async fn wait(mut is_so: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let since = Instant::now();
    while !is_so().await {
        ensure!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
