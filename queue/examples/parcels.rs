//! Enqueues jobs, works on them, and reads what became of them.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 cargo run -p upshot-queue --example parcels
//! ```

#![expect(clippy::print_stdout, reason = "this is a command line program")]

use std::{sync::Arc, time::Duration};

use apalis_core::worker::builder::WorkerBuilder;
use serde_json::{Value, json};
use upshot_queue::{
    Client, Connector, Failure, Job, JobId, Lease, NewJob, QueueName, RedisBackend, RedisOptions, Stop,
    WorkerOptions, worker::handler,
};

/// Prints the label of a parcel. A parcel without a weight is refused for good; any other error
/// would be retried.
async fn print(job: Arc<Job>, lease: Lease) -> Result<Value, Stop> {
    let grams: u32 = std::str::from_utf8(&job.args)?.parse()?;
    if grams == 0 {
        return Err(Failure::permanent("the parcel weighs nothing").into());
    }
    // A stored step is not repeated when another worker has to continue.
    lease.complete_step("weigh", &json!(grams)).await?;
    Ok(json!({"label": format!("{grams} g")}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let connector = Connector::new(RedisOptions::new(&url, "example"))?;
    let queue: QueueName = "parcels".parse()?;
    let client = Client::new(&connector, queue.clone())?;

    let mut listener = connector.listen().await?;
    listener.subscribe(client.keys().changes()).await?;
    let jobs: Vec<NewJob> =
        [250, 0, 1200].map(|grams| NewJob::new(JobId::random(), "parcel.print", grams.to_string())).into();
    println!("enqueued: {:?}", client.enqueue(&jobs).await?);

    let options = WorkerOptions { concurrency: 2, ..WorkerOptions::new(queue) };
    let stop = options.stop.clone();
    let backend = RedisBackend::new(&connector, options)?;
    let worker = WorkerBuilder::new(backend.worker()).backend(backend).build(handler(print));
    let stopped = stop.clone().cancelled_owned();
    let running = tokio::spawn(worker.run_until(async move {
        stopped.await;
        std::io::Result::Ok(())
    }));

    let ids: Vec<JobId> = jobs.into_iter().map(|job| job.id).collect();
    loop {
        let read = client.jobs(&ids).await?;
        if read.iter().all(|job| job.state.is_final()) {
            for job in read {
                println!("{}: {}, {:?}, failures: {:?}", job.id, job.state, job.outcome, job.history);
            }
            break;
        }
        // Each change of a job is told; a message that is lost costs a second.
        let _ = tokio::time::timeout(Duration::from_secs(1), listener.next()).await;
    }
    stop.cancel();
    running.await??;
    Ok(())
}
