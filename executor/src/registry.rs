//! Which handler does which kind of job.
//!
//! A handler is an ordinary apalis handler: an async function whose first
//! argument is the job's arguments and whose others are extracted
//! (`Data<Lease>`, `TaskId`, `Attempt`). It returns an [`Outcome`], or says why
//! there is none:
//! | error | then |
//! |---|---|
//! | [`Failure`] | a retry after a wait, or a dead job, by its class |
//! | [`Snooze`](upshot_queue::Snooze) | it runs again after a time |
//! | [`Park`](upshot_queue::Park) | it waits until somebody meets a need: a breaker that closes, a confirmation, other jobs |
//! | [`Release`](upshot_queue::Release) | another worker runs it at once; for the stop of this one |
//! | any other error | as a transient failure |
//!
//! Only a failure counts as an attempt. A handler that returns several of them returns
//! [`Stop`], and `?` makes one of any other error:
//! ```
//! use apalis_core::task::data::Data;
//! use serde::Deserialize;
//! use upshot_executor::{Registry, Steps};
//! use upshot_queue::{Failure, Lease, Park, Release, Stop};
//! use upshot_shared::{Evidence, Outcome};
//!
//! #[derive(Deserialize)]
//! struct Shipment { order: String, parcels: Vec<String> }
//!
//! async fn ship(shipment: Shipment, lease: Data<Lease>) -> Result<Outcome, Stop> {
//!     // It runs from here again when the need is met, so it looks first.
//!     if !is_confirmed(&shipment.order).await? {
//!         return Err(Park::new(format!("{} confirmed", shipment.order), "no confirmation yet")?.into());
//!     }
//!     let steps = Steps::new(&lease, ["label", "parcels"]);
//!     let label = steps.run("label", async || print_label(&shipment.order).await).await?;
//!     for parcel in &shipment.parcels {
//!         // Parcels that were announced are found again by whoever goes on.
//!         if lease.stopping().is_cancelled() {
//!             return Err(Release::new("the worker stops").into());
//!         }
//!         announce(parcel, &label).await?;
//!     }
//!     steps.done().await?;
//!     Ok(Outcome::achieved("shipped", Evidence::new("label", [("id", label)])))
//! }
//!
//! let registry = Registry::new().handle("order.ship", 1, ship);
//! # async fn is_confirmed(_: &str) -> Result<bool, Failure> { Ok(true) }
//! # async fn print_label(_: &str) -> Result<String, Failure> { Ok(String::new()) }
//! # async fn announce(_: &str, _: &str) -> Result<(), Failure> { Ok(()) }
//! ```
//! `upshot unpark shipments "order-1042 confirmed"` or `Queue::meet` lets it go on;
//! [`Park`](upshot_queue::Park) says in which order nobody is missed.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use apalis_core::task::{Task, data::Data};
use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;
use tower::Service;
use tracing::Instrument;
use upshot_queue::{Failure, Job, Kinds, Lease, Stop, Undecodable};
use upshot_shared::{Outcome, intake::{LABEL_ID, LABEL_SOURCE}};

type Run = Box<dyn Fn(&Job, Lease) -> BoxFuture<'static, Result<Outcome, Stop>> + Send + Sync>;

/// Handlers by kind and version.
#[derive(Default)]
pub struct Registry {
    handlers: HashMap<(&'static str, u32), Run>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Registry {
    /// No handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of a kind and version of arguments. The kind is a
    /// stable name: jobs that are waiting carry it.
    #[must_use]
    pub fn handle<Args, F, Fut, E>(mut self, kind: &'static str, version: u32, handler: F) -> Self
    where
        Args: DeserializeOwned,
        F: Fn(Args, Data<Lease>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Outcome, E>> + Send + 'static,
        E: Into<Stop>,
    {
        let run = move |job: &Job, lease: Lease| {
            let args = serde_json::from_slice::<Args>(&job.args).map_err(|error| {
                // Not the error's own text: it may quote the value.
                let (line, column) = (error.line(), error.column());
                Undecodable(format!(
                    "the arguments of {kind} version {version} cannot be read: {:?} error at line {line}, column {column}",
                    error.classify()
                ))
            });
            match args {
                Ok(args) => {
                    let run = handler(args, Data::new(lease));
                    async move { run.await.map_err(Into::into) }.boxed()
                }
                Err(undecodable) => futures::future::err(undecodable.into()).boxed(),
            }
        };
        self.handlers.insert((kind, version), Box::new(run));
        self
    }

    /// What a worker with these handlers can run. Arguments that this build of the program
    /// cannot read wait for another one.
    pub fn kinds(&self, build: &str) -> Kinds {
        let known = self.handlers.keys().map(|(kind, version)| ((*kind).to_owned(), *version)).collect();
        Kinds { known, build: build.to_owned() }
    }

    /// The kinds that have a handler.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.handlers.keys().map(|(kind, _)| *kind)
    }

    fn find(&self, job: &Job) -> Option<&Run> {
        let same = |kind: &str, version: u32| kind == job.kind && version == job.version;
        self.handlers.iter().find(|((kind, version), _)| same(kind, *version)).map(|(_, run)| run)
    }

    /// The service that a worker calls.
    pub fn service(this: &Arc<Self>) -> Dispatch {
        Dispatch { registry: Arc::clone(this) }
    }
}

/// Calls the handler of each job, in a span that says whose work it is.
#[derive(Clone, Debug)]
pub struct Dispatch {
    registry: Arc<Registry>,
}

impl Service<Task<Arc<Job>>> for Dispatch {
    type Response = Result<Outcome, Stop>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Result<Outcome, Stop>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Arc<Job>>) -> Self::Future {
        let job = Arc::clone(&task.args);
        let (trace_id, parent_id) = trace_ids(job.trace.as_deref());
        let span = tracing::info_span!(
            "job",
            job_id = %job.id,
            kind = %job.kind,
            queue = %job.queue,
            attempt = job.attempts,
            subject = job.subject.as_deref().unwrap_or_default(),
            event_id = job.labels.get(LABEL_ID).map(String::as_str).unwrap_or_default(),
            event_source = job.labels.get(LABEL_SOURCE).map(String::as_str).unwrap_or_default(),
            trace_id,
            parent_id,
        );
        let registry = Arc::clone(&self.registry);
        // Nothing of a handler runs before this future is polled: a panic in it
        // must be caught with the attempt, not end the worker.
        async move {
            let started = Instant::now();
            tracing::debug!("started");
            let lease = task.data().get::<Lease>().cloned();
            let result = match (registry.find(&job), lease) {
                (Some(run), Some(lease)) => run(&job, lease).await,
                (Some(_), None) => Err("a job came without a lease: no worker of its queue claimed it".into()),
                // The worker parks these jobs before they come here.
                (None, _) => Err(Failure::permanent(format!(
                    "no handler for kind `{}` version {} here: deploy an executor that has one, then `upshot retry` the job",
                    job.kind, job.version
                ))
                .into()),
            };
            let seconds = started.elapsed().as_secs_f64();
            metrics::histogram!("upshot_executor_attempt_seconds", "kind" => job.kind.clone()).record(seconds);
            let ended = match &result {
                Ok(_) => "achieved",
                Err(stop) if stop.is_failure() => "failed",
                Err(_) => "put_off",
            };
            metrics::counter!("upshot_executor_attempts_total", "kind" => job.kind.clone(), "result" => ended).increment(1);
            if let Ok(outcome) = &result {
                tracing::info!(ms = (seconds * 1000.0) as u64, outcome = %outcome.summary, "achieved");
            }
            Ok(result)
        }
        .instrument(span)
        .boxed()
    }
}

/// Trace and parent id of a W3C `traceparent` (Trace Context, section 3.2).
fn trace_ids(trace: Option<&str>) -> (&str, &str) {
    let mut parts = trace.unwrap_or_default().split('-').skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_apart() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_ids(Some(trace)), ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"));
        assert_eq!(trace_ids(Some("nonsense")), ("", ""));
        assert_eq!(trace_ids(None), ("", ""));
    }
}
