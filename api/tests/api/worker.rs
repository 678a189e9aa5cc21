//! A real worker beside the test: it drives jobs through their states.

use std::{future::Future, sync::Arc, time::Duration};

use apalis_core::{monitor::Monitor, worker::builder::WorkerBuilder};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upshot_queue::{
    Connector, Failure, Job, Lease, RedisBackend, RetryPolicy, Stop, Wait, WorkerOptions, worker::handler,
};

use upshot_testkit::within;

/// Options of a worker that tries again after an hour.
pub fn options(queue: &str) -> WorkerOptions {
    let hour = Duration::from_secs(3600);
    let retry = RetryPolicy { wait: Wait { base: hour, cap: hour, floor: hour }, ..RetryPolicy::default() };
    WorkerOptions { retry, ..WorkerOptions::new(queue.parse().unwrap()) }
}

/// A worker on one queue.
pub struct Worker {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    /// Runs a handler. A transient failure is tried again after an hour, so
    /// that the test sees the job wait.
    pub fn start<F, Fut>(connector: &Connector, queue: &str, run: F) -> Self
    where
        F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        Self::start_any(connector, queue, run)
    }

    /// The same with any error.
    pub fn start_any<F, Fut, E>(connector: &Connector, queue: &str, run: F) -> Self
    where
        F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<Stop> + 'static,
    {
        Self::start_with(connector, options(queue), run)
    }

    /// The same with other options.
    pub fn start_with<F, Fut, E>(connector: &Connector, options: WorkerOptions, run: F) -> Self
    where
        F: Fn(Arc<Job>, Lease) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<Stop> + 'static,
    {
        let connector = connector.clone();
        let monitor = Monitor::new().register(move |_| {
            let run = run.clone();
            let backend = RedisBackend::new(&connector, options.clone()).unwrap();
            WorkerBuilder::new(backend.worker()).backend(backend).build(handler(run))
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            let signal = async move {
                stopped.await;
                Ok(())
            };
            monitor.run_with_signal(signal).await.unwrap();
        });
        Self { stop, running }
    }

    /// Stops in good order.
    pub async fn stop(self) {
        self.stop.cancel();
        within("the worker stops", self.running).await.unwrap();
    }
}
