//! BullMQ in turns with our own queue: the same jobs on the same Redis in the
//! same run.
//!
//! It gets its best setting: bulks, processes, concurrency, and whether done
//! jobs are kept are tried first, and the fastest is measured.

use std::fmt;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{noop, queue_start};
use crate::{
    arguments::Amounts,
    drain::{self, Drained},
    figures::{Figures, percentile},
    peer::Peer,
    stage::Stage,
};

/// Jobs in one `addBulk`, and calls under way at once.
const BULKS: [Bulk; 4] = [
    Bulk { chunk: 1000, lanes: 1 },
    Bulk { chunk: 1000, lanes: 2 },
    Bulk { chunk: 2500, lanes: 2 },
    Bulk { chunk: 5000, lanes: 1 },
];
const CONCURRENCY: [usize; 5] = [1, 50, 100, 300, 500];
/// One for each core at most is worth trying on the machines of a bench.
const PROCESSES: [usize; 2] = [1, 2];
/// Settings that are tried once more, with more jobs.
const FINALISTS: usize = 3;
const MORE: usize = 3;
/// A rate at which it is no longer idle.
const HIGH_RATE: u32 = 500;
/// Where workers wait for each other.
const GATE: &str = "gate";
/// Seconds in which Node.js starts at least.
const PATIENCE: &str = "60";
/// Jobs that are done, whether they are kept or not.
const DONE: &str = "return ARGV[1] - redis.call('LLEN', KEYS[1]) - redis.call('LLEN', KEYS[2])";

#[derive(Clone, Copy, Debug)]
struct Bulk {
    chunk: usize,
    lanes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    processes: usize,
    concurrency: usize,
    /// `removeOnComplete`; else done jobs are kept, as ours are.
    remove: bool,
}

/// Trials, then rounds of ours and theirs. Our own figures of the same names
/// as in [`noop`] and [`queue_start`] come from these rounds.
pub async fn measure(
    stage: &Stage,
    peer: &Peer,
    amounts: Amounts,
    concurrency: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    println!("{peer}");
    let bulk = best_bulk(stage, peer, amounts.trial_jobs * MORE).await?;
    let setting = best_setting(stage, peer, bulk, amounts.trial_jobs).await?;
    println!("BullMQ's best: {bulk}; {setting}");
    bytes(stage, peer, bulk, amounts.events, figures).await?;
    for number in 1..=amounts.rounds {
        let ours = noop::round(stage, amounts.jobs, concurrency, number, figures).await?;
        stage.flush().await?;
        let enqueued = enqueue(stage, peer, bulk, amounts.jobs).await?;
        let theirs = work(stage, peer, setting, amounts.jobs).await?;
        println!(
            "BullMQ, round {number}: {:.0} jobs/s, {enqueued:.0} enqueued/s; others kept {:.2} cores busy; \
             ours is {:.1} times as fast, with {:.1} times less CPU",
            theirs.rate,
            theirs.others,
            ours.rate / theirs.rate,
            theirs.cpu_ms / ours.cpu_ms
        );
        figures.add("bullmq_enqueue_jobs_per_s", enqueued);
        figures.add("bullmq_noop_jobs_per_s", theirs.rate);
        figures.add("bullmq_noop_cpu_ms", theirs.cpu_ms);
        figures.add("noop_to_bullmq", ours.rate / theirs.rate);

        queue_start::round(stage, amounts.seconds, number, figures).await?;
        let mut waits = waits(stage, peer, queue_start::LOW_RATE, amounts.seconds).await?;
        println!("BullMQ, add to start, round {number}: {}", queue_start::shown(&mut waits));
        figures.add("bullmq_start_ms_p50", percentile(&mut waits, 0.5));
        figures.add("bullmq_start_ms_p99", percentile(&mut waits, 0.99));
    }
    let mut ours = queue_start::waits(stage, HIGH_RATE, amounts.seconds).await?;
    let mut theirs = waits(stage, peer, HIGH_RATE, amounts.seconds).await?;
    println!("enqueue to start at {HIGH_RATE} a second: {}", queue_start::shown(&mut ours));
    println!("BullMQ, add to start at {HIGH_RATE} a second: {}", queue_start::shown(&mut theirs));
    Ok(())
}

async fn best_bulk(stage: &Stage, peer: &Peer, n: usize) -> anyhow::Result<Bulk> {
    let mut tried = Vec::new();
    for bulk in BULKS {
        stage.flush().await?;
        let rate = enqueue(stage, peer, bulk, n).await?;
        println!("BullMQ, trial: {rate:.0} enqueued/s, {bulk}");
        tried.push((rate, bulk));
    }
    best(tried)
}

async fn best_setting(stage: &Stage, peer: &Peer, bulk: Bulk, n: usize) -> anyhow::Result<Setting> {
    let settings = CONCURRENCY.into_iter().flat_map(|concurrency| {
        PROCESSES
            .into_iter()
            .flat_map(move |processes| [false, true].map(|remove| Setting { processes, concurrency, remove }))
    });
    let mut tried = Vec::new();
    for setting in settings {
        tried.push((trial(stage, peer, bulk, setting, n).await?, setting));
    }
    tried.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    // Few jobs tell the slow settings from the fast ones, and not these from each other.
    let mut finals = Vec::new();
    for (_, setting) in tried.into_iter().take(FINALISTS) {
        finals.push((trial(stage, peer, bulk, setting, n * MORE).await?, setting));
    }
    best(finals)
}

async fn trial(stage: &Stage, peer: &Peer, bulk: Bulk, setting: Setting, n: usize) -> anyhow::Result<f64> {
    stage.flush().await?;
    enqueue(stage, peer, bulk, n).await?;
    let drained = work(stage, peer, setting, n).await?;
    println!("BullMQ, trial: {:.0} jobs/s, CPU {:.3} ms a job, {setting}", drained.rate, drained.cpu_ms);
    Ok(drained.rate)
}

fn best<T>(tried: Vec<(f64, T)>) -> anyhow::Result<T> {
    let best = tried.into_iter().max_by(|(one, _), (other, _)| one.total_cmp(other));
    Ok(best.context("nothing was tried")?.1)
}

/// Memory of jobs that wait and of the same jobs when they are done and kept.
/// (With `removeOnComplete` there is nothing left to compare.)
async fn bytes(
    stage: &Stage,
    peer: &Peer,
    bulk: Bulk,
    n: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    stage.flush().await?;
    let empty = stage.redis_memory().await?;
    enqueue(stage, peer, bulk, n).await?;
    figures.add("bullmq_bytes_waiting", (stage.redis_memory().await? - empty) / n as f64);
    work(stage, peer, Setting { processes: 1, concurrency: 100, remove: false }, n).await?;
    figures.add("bullmq_bytes_finished", (stage.redis_memory().await? - empty) / n as f64);
    Ok(())
}

/// Enqueues `n` jobs; how many a second, without the start of the process.
async fn enqueue(stage: &Stage, peer: &Peer, bulk: Bulk, n: usize) -> anyhow::Result<f64> {
    let [jobs, chunk, lanes] = [n, bulk.chunk, bulk.lanes].map(|number| number.to_string());
    let role = ["enqueue", "--jobs", &jobs, "--chunk", &chunk, "--lanes", &lanes];
    let said = peer.answer(stage, "bullmq-enqueue", &role).await?;
    said.get("per_s").and_then(Value::as_f64).with_context(|| format!("BullMQ says no rate: {said}"))
}

/// Lets workers work off what is there, beginning together.
async fn work(stage: &Stage, peer: &Peer, setting: Setting, n: usize) -> anyhow::Result<Drained> {
    let places = setting.concurrency.to_string();
    let mut role = vec!["work", "--behind", GATE, "--concurrency", &places];
    if setting.remove {
        role.push("--remove");
    }
    let mut workers = Vec::new();
    for number in 1..=setting.processes {
        workers.push(peer.start(stage, &format!("bullmq-worker-{number}"), &role).await?);
    }
    let mut redis = stage.redis().await?;
    let ready = format!("{GATE}:ready");
    for worker in &mut workers {
        let came: Option<(String, u32)> =
            redis::cmd("BLPOP").arg(&ready).arg(PATIENCE).query_async(&mut redis).await?;
        worker.check()?;
        ensure!(came.is_some(), "a worker of BullMQ was not ready within {PATIENCE} s");
    }
    () = redis::cmd("RPUSH")
        .arg(format!("{GATE}:go"))
        .arg(vec!["go"; setting.processes])
        .query_async(&mut redis)
        .await?;
    let mut done = redis::cmd("EVAL");
    done.arg(DONE).arg(2).arg("bull:bench:wait").arg("bull:bench:active").arg(n);
    let [_, server] = stage.servers();
    let drained = drain::watch(stage, &mut workers, &[server], &done, n).await?;
    for worker in workers {
        worker.stop().await?;
    }
    Ok(drained)
}

/// How long each job waited from just before `add` to its processor, ms.
async fn waits(stage: &Stage, peer: &Peer, rate: u32, seconds: u64) -> anyhow::Result<Vec<f64>> {
    stage.flush().await?;
    let (rate, seconds) = (rate.to_string(), seconds.to_string());
    let role = ["start", "--rate", &rate, "--seconds", &seconds];
    let said = peer.answer(stage, "bullmq-start", &role).await?;
    let waits = said.get("ms").and_then(Value::as_array).context("BullMQ says no latencies")?;
    Ok(waits.iter().filter_map(Value::as_f64).collect())
}

impl fmt::Display for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} jobs in a bulk, {} at once", self.chunk, self.lanes)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, concurrency, remove } = self;
        let fate = if *remove { "removed" } else { "kept" };
        write!(f, "processes: {processes}, concurrency {concurrency} each, done jobs {fate}")
    }
}
