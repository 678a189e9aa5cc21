//! The backend that apalis' worker polls.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::Task,
    worker::context::WorkerContext,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    claim, clocks, configure, core::Core, layer::SettleLayer, lease::Lease, options::WorkerOptions, presence,
    renew, settle, shutdown, sweep, wake,
};
use crate::{error::Error, job::Job, redis::connect::Connector, worker::protocol::EndedAttempt};

/// A queue in Redis as a source of work for one apalis worker.
///
/// It never yields an error, because an apalis worker ends at the first one and drops its running
/// jobs. While Redis is away it yields nothing.
pub struct RedisBackend {
    options: WorkerOptions,
    core: Arc<Core>,
    started: Option<mpsc::UnboundedSender<Task<Arc<Job>>>>,
    tasks: mpsc::UnboundedReceiver<Task<Arc<Job>>>,
    ended: Option<mpsc::UnboundedReceiver<EndedAttempt>>,
    finish: CancellationToken,
    claiming: Option<AbortOnDropHandle<()>>,
    settling: Option<AbortOnDropHandle<()>>,
    telling: Option<AbortOnDropHandle<()>>,
    others: Vec<AbortOnDropHandle<()>>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBackend").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RedisBackend {
    /// A backend. It connects at the first poll.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn new(connector: &Connector, options: WorkerOptions) -> Result<Self, Error> {
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let (started, tasks) = mpsc::unbounded_channel();
        Ok(Self {
            core: Arc::new(Core::new(connector, options.clone(), ended_sender)?),
            options,
            started: Some(started),
            tasks,
            ended: Some(ended),
            finish: CancellationToken::new(),
            claiming: None,
            settling: None,
            telling: None,
            others: Vec::new(),
            closing: None,
        })
    }

    /// The worker's name in Redis, in logs and in the history of jobs.
    pub fn worker(&self) -> &str {
        self.core.worker()
    }

    fn spawn_loops(&mut self, worker: &WorkerContext) {
        let core = &self.core;
        super::metrics::describe(&core.options.queue);
        if let (Some(started), Some(ended)) = (self.started.take(), self.ended.take()) {
            let spawned = tokio::spawn(claim::run(Arc::clone(core), started));
            self.claiming = Some(AbortOnDropHandle::new(spawned));
            let spawned = tokio::spawn(settle::run(Arc::clone(core), ended, self.finish.clone()));
            self.settling = Some(AbortOnDropHandle::new(spawned));
            let spawned = tokio::spawn(presence::run(Arc::clone(core)));
            self.telling = Some(AbortOnDropHandle::new(spawned));
            self.others = vec![
                AbortOnDropHandle::new(tokio::spawn(renew::run(Arc::clone(core)))),
                AbortOnDropHandle::new(tokio::spawn(wake::run(Arc::clone(core)))),
                AbortOnDropHandle::new(tokio::spawn(configure::run(Arc::clone(core)))),
                AbortOnDropHandle::new(tokio::spawn(sweep::run(Arc::clone(core)))),
                AbortOnDropHandle::new(tokio::spawn(clocks::run(Arc::clone(core)))),
                AbortOnDropHandle::new(tokio::spawn(shutdown::run(Arc::clone(core), worker.clone()))),
            ];
        }
    }
}

impl Backend for RedisBackend {
    type Task = Task<Arc<Job>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.spawn_loops(worker);
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.tasks.poll_recv(cx).map(|task| task.map(Ok))
    }

    /// Stops claiming, hands back jobs that have not started, and waits until every end is written
    /// or abandoned. apalis calls this after the last handler has ended. The first two steps
    /// happened when the stop began ([`shutdown`]), if a handler was running.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.core.stop.cancel();
        let closing = self.closing.get_or_insert_with(|| {
            let claiming = self.claiming.take();
            let settling = self.settling.take();
            let telling = self.telling.take();
            let finish = self.finish.clone();
            let (_, nothing) = mpsc::unbounded_channel();
            let mut tasks = std::mem::replace(&mut self.tasks, nothing);
            let (core, abandon) = (Arc::clone(&self.core), self.options.abandon.clone());
            let counting = Arc::clone(&core);
            let in_order = async move {
                if let Some(claiming) = claiming {
                    // It ends early only after a panic; closing then continues.
                    let _ = claiming.await;
                }
                tasks.close();
                while let Some(task) = tasks.recv().await {
                    if let Some(lease) = task.data().get::<Lease>() {
                        lease.0.release_unstarted();
                    }
                }
                finish.cancel();
                if let Some(settling) = settling {
                    let _ = settling.await;
                }
                counting.clocks.flush(&counting).await;
                if let Some(telling) = telling {
                    let _ = telling.await;
                }
            };
            async move {
                tokio::select! {
                    biased;
                    () = in_order => {}
                    () = abandon.cancelled() => {
                        // Dropping the handles aborts the loops.
                        tracing::error!(
                            queue = %core.options.queue,
                            "the worker ends without an answer of Redis: jobs whose ends are not written run again when their leases run out"
                        );
                    }
                }
            }
            .boxed()
        });
        closing.poll_unpin(cx).map(|()| {
            self.others.clear();
            Ok(())
        })
    }
}

impl BackendConfig for RedisBackend {
    type Args = Arc<Job>;
    type Id = String;
    type Kind = Ephemeral;
    type Config = WorkerOptions;
    type Layer = SettleLayer;

    fn config(&self) -> &WorkerOptions {
        &self.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> SettleLayer {
        SettleLayer
    }
}
