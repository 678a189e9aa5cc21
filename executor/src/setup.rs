//! The jobs of a program, and the set-up of their states.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use upshot_queue::Client;
use upshot_runtime::{Health, Settings, settings};

use crate::{
    job::Job,
    registry::{Registry, Shared, Twice},
};

/// A program's own error during the set-up of its state.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

type Prepare = Box<dyn FnOnce(Setup) -> BoxFuture<'static, Result<(), SetupError>> + Send>;
pub(crate) type Beside = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A program's job types, with their states.
#[derive(Default)]
pub struct Jobs {
    pub(crate) registry: Registry,
    prepare: Vec<Prepare>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.registry.fmt(f)
    }
}

/// A state that is there, or that a starting executor sets up.
#[derive(Debug)]
pub struct State<S>(Shared<S>);

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Jobs {
    /// No jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A state that is there already.
    pub fn state<S>(&self, state: S) -> State<S> {
        let shared = OnceLock::new();
        // It is empty, so it takes the state.
        let _ = shared.set(Arc::new(state));
        State(Arc::new(shared))
    }

    /// A state that only a starting executor sets up.
    pub fn prepared<S, F, Fut, E>(&mut self, prepare: F) -> State<S>
    where
        S: Send + Sync + 'static,
        F: FnOnce(Setup) -> Fut + Send + 'static,
        Fut: Future<Output = Result<S, E>> + Send + 'static,
        E: Into<SetupError>,
    {
        let shared: Shared<S> = Arc::default();
        let filled = Arc::clone(&shared);
        self.prepare.push(Box::new(move |setup| {
            let preparing = prepare(setup);
            async move {
                let state = preparing.await.map_err(Into::into)?;
                let _ = filled.set(Arc::new(state));
                Ok(())
            }
            .boxed()
        }));
        State(shared)
    }

    /// Adds the type of a kind of job.
    ///
    /// # Errors
    /// When another type has its kind and version.
    pub fn job<T: Job>(&mut self, state: &State<T::State>) -> Result<(), Twice> {
        self.registry.add::<T>(&state.0)
    }

    /// Sets up all states. Returns the tasks to run beside the jobs.
    pub(crate) async fn prepare(
        self,
        settings: &Settings,
        queues: Vec<Client>,
        health: &Health,
    ) -> Result<(Registry, Vec<Beside>), SetupError> {
        let setup =
            Setup { settings: settings.clone(), queues, health: health.clone(), beside: Arc::default() };
        for prepare in self.prepare {
            prepare(setup.clone()).await?;
        }
        let mut beside = setup.beside.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.registry, std::mem::take(&mut *beside)))
    }
}

/// What a program can use when an executor starts.
#[derive(Clone)]
pub struct Setup {
    settings: Settings,
    queues: Vec<Client>,
    health: Health,
    beside: Arc<Mutex<Vec<Beside>>>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}

impl Setup {
    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The section `[app.NAME]`. The program has to name it before it reads its command line
    /// (`Builder::section` of the facade): commands refuse sections that they do not know.
    ///
    /// # Errors
    /// The problem and its place.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, settings::Error> {
        self.settings.section(name)
    }

    /// The section `[app.NAME]`, if it is there.
    ///
    /// # Errors
    /// The problem and its place.
    pub fn optional_section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, settings::Error> {
        self.settings.optional_section(name)
    }

    /// All queues of the settings, including queues of other executors.
    pub fn queues(&self) -> &[Client] {
        &self.queues
    }

    /// The health of the executor, which `/readyz` shows.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Runs a task beside the jobs until the executor stops.
    pub fn beside<F, Fut>(&self, run: F)
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.push(Box::new(move |stop| run(stop).boxed()));
    }
}
