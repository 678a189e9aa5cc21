//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Upshot with private servers of its own and prints a table.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// A tenth of the work in one round: to see that everything runs. The figures are rough.
    #[arg(long)]
    pub quick: bool,
    /// Only this measurement; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<Measurement>,
    /// BullMQ as well, in turns with our own jobs; `make bench-peers` installs it.
    #[arg(long)]
    pub peers: bool,
    /// The folder of the BullMQ peer.
    #[arg(long, default_value = "bench/peers/bullmq", value_name = "FOLDER")]
    pub bullmq: PathBuf,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    pub out: PathBuf,
    /// Jobs that the no-op worker runs at once.
    #[arg(long, default_value_t = 512)]
    pub concurrency: usize,
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// The bridge beside a bare loop, and the memory of what it enqueued.
    Bridge,
    /// Jobs that do nothing.
    Noop,
    /// From publish to the start of the handler.
    Start,
    /// From enqueue to the start of the handler, without RabbitMQ and the bridge.
    QueueStart,
    /// A worker that has nothing to do.
    Idle,
    /// Jobs beside a backlog of a million in ten thousand tenants.
    Backlog,
    /// The same jobs without and with tenants, priorities and limits.
    Mixed,
    /// What script calls cost that have as many jobs as they take.
    FullCalls,
    /// Jobs of a worker that was killed.
    Takeover,
    /// BullMQ in turns with our own no-op jobs and enqueues.
    Bullmq,
    /// Memory of each service after load.
    Rss,
    /// Slow calls of a script that only reads and writes: what the machine does to any.
    BareScript,
}

/// Processes that this program starts of itself.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The least that a bridge could do.
    #[command(hide = true)]
    BareLoop(BareLoop),
    /// A worker whose jobs do nothing.
    #[command(hide = true)]
    Worker(Worker),
}

/// Options of the bare loop.
#[derive(Debug, Args)]
pub struct BareLoop {
    /// RabbitMQ.
    #[arg(long)]
    pub amqp: String,
    /// Redis.
    #[arg(long)]
    pub redis: String,
}

/// Options of the worker.
#[derive(Debug, Args)]
pub struct Worker {
    /// Redis.
    #[arg(long)]
    pub redis: String,
    /// Jobs that run at once.
    #[arg(long)]
    pub concurrency: usize,
    /// Jobs never end.
    #[arg(long)]
    pub hang: bool,
}

impl Arguments {
    /// Whether a measurement is asked for.
    pub fn wants(&self, measurement: Measurement) -> bool {
        // A peer takes minutes and has to be installed, so it is asked for by name.
        let unasked = if measurement == Measurement::Bullmq { self.peers } else { self.only.is_empty() };
        unasked || self.only.contains(&measurement)
    }

    /// How much of everything.
    pub fn amounts(&self) -> Amounts {
        if self.quick {
            return Amounts {
                rounds: 1,
                events: 10_000,
                jobs: 20_000,
                backlog: 50_000,
                kills: 1,
                trial_jobs: 1_500,
                bare_calls: 250,
                full_calls: 100,
                seconds: 4,
                idle_seconds: 3,
                invoices: 20,
                requests: 300,
            };
        }
        Amounts {
            rounds: 3,
            events: 60_000,
            jobs: 100_000,
            backlog: 1_000_000,
            kills: 5,
            trial_jobs: 8_000,
            bare_calls: 12_500,
            full_calls: 1_000,
            seconds: 20,
            idle_seconds: 10,
            invoices: 200,
            requests: 3_000,
        }
    }
}

/// How much of everything is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Rounds of which the median is taken.
    pub rounds: usize,
    /// Events in the queue before a bridge starts.
    pub events: usize,
    /// Jobs in the queue before a worker starts.
    pub jobs: usize,
    /// Jobs of the large backlog, a hundred for each tenant.
    pub backlog: usize,
    /// Workers that are killed.
    pub kills: usize,
    /// Jobs with which each setting of a peer is tried.
    pub trial_jobs: usize,
    /// Calls, in each of eight parts, of a script that only reads and writes.
    pub bare_calls: usize,
    /// Batches, in each of two shapes, whose calls are looked at one by one.
    pub full_calls: usize,
    /// Seconds at a rate: 500 events, or 50 jobs, a second.
    pub seconds: u64,
    /// Seconds for which an idle worker is watched.
    pub idle_seconds: u64,
    /// Invoices before an executor's memory is read.
    pub invoices: usize,
    /// Requests before the API's memory is read.
    pub requests: usize,
}
