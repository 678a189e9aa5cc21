//! Calls of a queue's scripts, one after the other, and what each costs Redis.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use upshot_queue::{
    Client, Crashes, NewJob, Shares, Wait,
    protocol::{Claim, Disposition, EndedAttempt},
    worker::Worker,
};

use crate::{
    figures::{Figures, percentile},
    usage,
    worker::kinds,
};

/// Enqueue, claim, complete; the order of what is noted.
pub const KINDS: [&str; 3] = ["enqueue", "claim", "complete"];
const WORKER: &str = "bench";

/// What a full call of each kind costs where it is dearest: CPU time of Redis' first
/// thread, ms.
#[derive(Debug, Default)]
pub struct Dearest([f64; 3]);

impl Dearest {
    /// Adds them to the figures.
    pub fn add_to(&self, figures: &mut Figures) {
        let names = ["full_enqueue_cpu_ms", "full_claim_cpu_ms", "full_complete_cpu_ms"];
        names.into_iter().zip(self.0).for_each(|(name, ms)| figures.add(name, ms));
    }
}

/// A queue without other users.
pub struct Calls {
    worker: Worker,
    redis: MultiplexedConnection,
    /// The process of its Redis.
    pid: u32,
    job: Box<dyn Fn(usize) -> NewJob + Send + Sync>,
    /// Jobs of an enqueue that is one call.
    enqueue: usize,
    /// Jobs enqueued so far.
    made: usize,
    /// Of the last claim.
    number: u64,
    /// Time in scripts, µs a job, of each batch.
    spent: [Vec<f64>; 3],
    /// CPU time of Redis' first thread, ms, of each call.
    took: [Vec<f64>; 3],
}

/// Where a clock of either kind stood.
#[derive(Clone, Copy)]
struct Mark {
    script_us: f64,
    cpu: Duration,
}

impl Calls {
    /// Makes jobs by their number, and enqueues this many in one call.
    pub fn new(
        queue: Client,
        redis: MultiplexedConnection,
        pid: u32,
        enqueue: usize,
        job: impl Fn(usize) -> NewJob + Send + Sync + 'static,
    ) -> Self {
        let (spent, took) = Default::default();
        Self {
            worker: Worker::new(queue),
            redis,
            pid,
            job: Box::new(job),
            enqueue,
            made: 0,
            number: 0,
            spent,
            took,
        }
    }

    /// Enqueues as many jobs as these, without noting what it costs.
    pub async fn fill(&mut self, n: usize) -> anyhow::Result<()> {
        let jobs: Vec<NewJob> = (self.made..self.made + n).map(&self.job).collect();
        self.made += n;
        self.worker.client().enqueue(&jobs).await?;
        Ok(())
    }

    /// Enqueues a batch, claims it in parts of this size, and completes it in one call.
    pub async fn batch(&mut self, size: usize, most: usize) -> anyhow::Result<()> {
        let enqueues = self.mark().await?;
        let mut mark = enqueues;
        for done in (0..size).step_by(self.enqueue) {
            let n = self.enqueue.min(size - done);
            self.fill(n).await?;
            mark = self.note_call(0, n == self.enqueue, mark).await?;
        }
        self.note_batch(0, size, enqueues, mark);
        let (claims, mut ended) = (mark, Vec::with_capacity(size));
        let kinds = kinds().stored();
        // A claim stops early if lanes have few jobs each.
        while ended.len() < size {
            self.number += 1;
            let want = most.min(size - ended.len());
            let claim = Claim {
                worker: WORKER,
                want,
                lease: Duration::from_secs(60),
                crashes: &Crashes::new(3, Wait::NONE),
                crashes_by_kind: &[],
                kinds: Some(&kinds),
                request_id: self.number,
                shares: Shares::default(),
                // As for a worker that is this quick.
                quantum: want,
            };
            let claimed = self.worker.claim(&claim).await?;
            anyhow::ensure!(!claimed.is_empty(), "{} of {size} jobs were claimed", ended.len());
            for job in claimed.jobs(self.worker.client(), WORKER) {
                let job = job?;
                let flow = job.flow();
                let end = Disposition::Succeed("null".to_owned());
                let args = job.args.len();
                ended.push(EndedAttempt {
                    id: job.id,
                    token: job.token,
                    flow,
                    expectation: job.expectation,
                    args,
                    clock: None,
                    disposition: end,
                });
            }
            mark = self.note_call(1, want == most, mark).await?;
        }
        self.note_batch(1, size, claims, mark);
        self.worker.settle(WORKER, &ended).await?;
        let now = self.note_call(2, true, mark).await?;
        self.note_batch(2, size, mark, now);
        Ok(())
    }

    /// Forgets what was noted.
    pub fn warmed_up(&mut self) {
        (self.spent, self.took) = Default::default();
    }

    /// Median time in scripts, µs a job, of each kind.
    pub fn costs(&mut self) -> [f64; 3] {
        self.spent.each_mut().map(|spent| percentile(spent, 0.5))
    }

    /// Prints what calls cost, and remembers the median if these are dearer than others.
    pub fn report(&mut self, what: &str, dearest: &mut Dearest) {
        print!("CPU of Redis for a call, {what}:");
        for ((kind, took), dearest) in KINDS.iter().zip(&mut self.took).zip(&mut dearest.0) {
            let [median, most, all] = [0.5, 0.99, 1.0].map(|part| percentile(took, part));
            print!(" {kind} {median:.2} ms, 99 of 100 {most:.2}, all {} {all:.2};", took.len());
            *dearest = dearest.max(median);
        }
        println!();
    }

    /// The connection, to look at Redis.
    pub fn redis(&mut self) -> &mut MultiplexedConnection {
        &mut self.redis
    }

    async fn mark(&mut self) -> anyhow::Result<Mark> {
        let script_us = script_us(&mut self.redis).await?;
        // Behind the answer: what that cost is not to count.
        Ok(Mark { script_us, cpu: usage::first_thread(self.pid)? })
    }

    /// Notes one call if it had as many jobs as it takes, and returns where the clocks stand.
    async fn note_call(&mut self, kind: usize, is_full: bool, since: Mark) -> anyhow::Result<Mark> {
        let cpu = usage::first_thread(self.pid)?;
        if let Some(took) = self.took.get_mut(kind).filter(|_| is_full) {
            took.push(cpu.saturating_sub(since.cpu).as_secs_f64() * 1e3);
        }
        self.mark().await
    }

    fn note_batch(&mut self, kind: usize, jobs: usize, since: Mark, now: Mark) {
        if let Some(spent) = self.spent.get_mut(kind) {
            spent.push((now.script_us - since.script_us) / jobs as f64);
        }
    }
}

/// Time that Redis has spent in scripts so far, µs.
pub async fn script_us(redis: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let us = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
    Ok(us.unwrap_or("0").parse()?)
}
