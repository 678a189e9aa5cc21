//! From publish to the start of the handler, at 500 events a second.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use upshot_queue::WorkerOptions;

use crate::{
    arguments::Amounts,
    disk,
    figures::{Figures, percentile},
    load::{self, Producer},
    stage::{QUEUE, Stage},
    usage::Cpu,
    worker,
};

const RATE: u32 = 500;
/// Events before the measured ones, so that connections and caches are warm.
const WARM_UP: usize = 500;
/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One job's way, in ms.
#[derive(Clone, Copy)]
struct Waited {
    /// From publish to the start of the handler.
    all: f64,
    /// The part until the job was in Redis, whose clock has whole milliseconds.
    enqueued: f64,
}

/// Publisher and worker are in this process, bridge and servers are not.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    stage.flush().await?;
    let mut bridge = stage.upshot("bridge", &[]).await?;
    let (sender, mut starts) = mpsc::unbounded_channel();
    let options = WorkerOptions::new(QUEUE.parse()?);
    let working = tokio::spawn(worker::work(stage.connector()?, options, move |job| {
        let now = load::now_ns();
        if let Some(at) = load::published_ns(&job.args) {
            let all = now.saturating_sub(at) as f64 / 1e6;
            // The receiver is gone only after the measurement.
            let _ = sender.send(Waited { all, enqueued: job.enqueued_at as f64 - at as f64 / 1e6 });
        }
        async { Ok(Value::Null) }
    }));
    let _working = AbortOnDropHandle::new(working);
    let producer = Producer::connect(&stage.amqp()).await?;
    round(&producer, &mut starts, WARM_UP).await?;
    bridge.check()?;

    let [rabbit, redis] = stage.servers();
    let processes = [std::process::id(), bridge.pid(), rabbit, redis];
    let n = RATE as usize * usize::try_from(amounts.seconds)?;
    for number in 1..=amounts.rounds {
        let (sync, slow_sync) = disk::sync_ms(stage.folder()).await?;
        let (since, before) = (Instant::now(), Cpu::of(&processes)?);
        let (waits, mut confirms) = round(&producer, &mut starts, n).await?;
        let used = Cpu::of(&processes)?.since(before);
        let part = |share: f64, part: fn(&Waited) -> f64| {
            percentile(&mut waits.iter().map(part).collect::<Vec<_>>(), share)
        };
        let (p50, p99) = (part(0.5, |waited| waited.all), part(0.99, |waited| waited.all));
        println!(
            "start, round {number}: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {:.0} ms; \
             p99 until confirmed {:.1} ms, until in Redis {:.0} ms, from there {:.0} ms; \
             the disk took {sync:.2} ms, p99 {slow_sync:.1} ms, others kept {:.2} cores busy",
            part(1.0, |waited| waited.all),
            percentile(&mut confirms, 0.99),
            part(0.99, |waited| waited.enqueued),
            part(0.99, |waited| waited.all - waited.enqueued),
            used.others(since.elapsed())
        );
        figures.add("start_ms_p50", p50);
        figures.add("start_ms_p99", p99);
        figures.add("start_cpu_ms", used.ms_each(n));
    }
    producer.close().await?;
    bridge.stop().await
}

/// Publishes `n` events at the rate; how long each took to its start, and to
/// RabbitMQ's confirm.
async fn round(
    producer: &Producer,
    starts: &mut mpsc::UnboundedReceiver<Waited>,
    n: usize,
) -> anyhow::Result<(Vec<Waited>, Vec<f64>)> {
    let publishing = load::ticks(RATE)
        .take(n)
        .map(|number| async move {
            let since = Instant::now();
            producer.publish(load::event(number)).await?;
            anyhow::Ok(since.elapsed().as_secs_f64() * 1e3)
        })
        .buffer_unordered(RATE as usize)
        .try_collect();
    let starting = async {
        let mut waits = Vec::with_capacity(n);
        while waits.len() < n {
            let next = tokio::time::timeout(PATIENCE, starts.recv()).await;
            waits.push(
                next.with_context(|| format!("only {} of {n} started", waits.len()))?.context("no worker")?,
            );
        }
        anyhow::Ok(waits)
    };
    let (confirms, waits) = tokio::try_join!(publishing, starting)?;
    Ok((waits, confirms))
}
