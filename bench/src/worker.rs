//! A worker on the real backend, with a handler given to it.

use std::{future::Future, sync::Arc};

use apalis_core::{monitor::Monitor, worker::builder::WorkerBuilder};
use serde_json::Value;
use upshot_queue::{
    Connector, Failure, Job, Kinds, RedisBackend, RedisOptions, WorkerOptions, worker::handler,
};

use crate::{
    arguments::Worker,
    stage::{PREFIX, QUEUE},
};

/// The kinds of jobs that are measured: claims say what they run, as those of an executor do.
pub fn kinds() -> Kinds {
    let known = ["bench.noop", "bench.hang"].map(|kind| (kind.to_owned(), 1)).into();
    Kinds { known, build: String::new() }
}

/// Runs jobs that do nothing, or never end, until it is killed.
pub async fn run(options: &Worker) -> anyhow::Result<()> {
    let connector = Connector::new(RedisOptions::new(&options.redis, PREFIX))?;
    let kinds = Some(kinds());
    let settings =
        WorkerOptions { concurrency: options.concurrency, kinds, ..WorkerOptions::new(QUEUE.parse()?) };
    // A task, as in the executor: what the main thread polls has to wake another.
    if options.hang {
        return tokio::spawn(work(connector, settings, |_| std::future::pending())).await?;
    }
    tokio::spawn(work(connector, settings, |_| async { Ok(Value::Null) })).await?
}

/// Runs a handler on a queue for as long as it is polled.
pub async fn work<F, Fut>(connector: Connector, options: WorkerOptions, run: F) -> anyhow::Result<()>
where
    F: Fn(Arc<Job>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    // Refused here rather than inside the monitor.
    RedisBackend::new(&connector, options.clone())?;
    let monitor = Monitor::new().register(move |_| {
        let run = run.clone();
        #[expect(clippy::expect_used, reason = "the same options were accepted above")]
        let backend = RedisBackend::new(&connector, options.clone()).expect("accepted before");
        WorkerBuilder::new(backend.worker()).backend(backend).build(handler(move |job, _| run(job)))
    });
    Ok(monitor.run().await?)
}
