//! A worker on the real backend, with a handler given to it.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{
    error::BoxDynError,
    monitor::Monitor,
    task::{Task, data::Data, task_fn::task_fn},
    worker::builder::WorkerBuilder,
};
use serde_json::Value;
use upshot_queue::{Connector, Failure, Job, Lease, RedisBackend, RedisOptions, WorkerOptions};

use crate::{
    arguments::Worker,
    stage::{PREFIX, QUEUE},
};

/// Runs jobs that do nothing until it is killed.
pub async fn run(options: &Worker) -> anyhow::Result<()> {
    let connector = Connector::new(RedisOptions::new(&options.redis, PREFIX))?;
    let settings = WorkerOptions { concurrency: options.concurrency, ..WorkerOptions::new(QUEUE.parse()?) };
    work(connector, settings, |_| async { Ok(Value::Null) }).await
}

/// Runs a handler on a queue for as long as it is polled.
pub async fn work<F, Fut>(connector: Connector, options: WorkerOptions, handler: F) -> anyhow::Result<()>
where
    F: Fn(Arc<Job>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    // Refused here rather than inside the monitor.
    RedisBackend::new(&connector, options.clone())?;
    let monitor = Monitor::new().register(move |_| {
        let handler = handler.clone();
        let service = task_fn(move |job: Arc<Job>, _: Data<Lease>| {
            let run = handler(job);
            async move { run.await.map_err(BoxDynError::from) }
        });
        #[expect(clippy::expect_used, reason = "the same options were accepted above")]
        let backend = RedisBackend::new(&connector, options.clone()).expect("accepted before");
        WorkerBuilder::new(backend.worker()).backend(backend).build(AsItIs(service))
    });
    Ok(monitor.run().await?)
}

/// Lets apalis take a service as it is.
#[derive(Clone)]
struct AsItIs<S>(S);

impl<S: tower::Service<Task<Arc<Job>>>> tower::Service<Task<Arc<Job>>> for AsItIs<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> S::Future {
        self.0.call(task)
    }
}
