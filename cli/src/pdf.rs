//! Renders documents, on no more threads than there are cores.
//!
//! Rendering is pure computing: more threads are not faster, and each takes memory. Rendering
//! cannot be stopped either. So a rendering whose job ended, by its time-out or a stop, keeps its
//! slot until its thread ends. The bound therefore holds for all running threads. The limit on the
//! data bounds their time ([`upshot_document::MAX_DATA`]).

use std::{num::NonZero, path::Path, sync::Arc, thread};

use serde_json::Value;
use tokio::sync::Semaphore;
use upshot_document::Renderer;
pub use upshot_document::{Builtin, Error};
use upshot_queue::Failure;
use upshot_runtime::settings::TemplateSettings;

/// Renders documents. Clones share the slots.
#[derive(Clone)]
pub struct Press {
    renderer: Renderer,
    places: Places,
}

impl Press {
    /// Loads the program's templates and those of the settings.
    ///
    /// # Errors
    /// Those of [`Renderer::new`].
    pub fn new(settings: &TemplateSettings, builtin: &[Builtin]) -> Result<Self, Error> {
        let renderer = Renderer::new(builtin, settings.dir.as_deref().map(Path::new))?;
        let fonts = settings.fonts.iter().map(Into::into).collect();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self { renderer: renderer.with_fonts(fonts), places: Places::new(cores) })
    }

    /// Renders a template with its data, once a slot is free.
    ///
    /// # Errors
    /// A permanent failure when the document cannot be rendered from this data.
    pub async fn render(&self, template: &'static str, data: Value) -> Result<Vec<u8>, Failure> {
        let renderer = self.renderer.clone();
        self.places.run(move || renderer.render(template, &data)).await?.map_err(Failure::permanent)
    }
}

/// Threads that compute at once.
#[derive(Clone, Debug)]
struct Places(Arc<Semaphore>);

impl Places {
    fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Computes on a separate thread. The slot stays taken until that thread ends, even if the
    /// caller has gone.
    async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        let computing = tokio::task::spawn_blocking(move || {
            let computed = compute();
            drop(place);
            computed
        });
        computing.await.map_err(|error| Failure::transient(format!("rendering was interrupted: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_computation_that_nobody_waits_for_keeps_its_place_until_it_is_done() {
        let places = Places::new(1);
        let (started, begun) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let waiting = places.clone();
        let first = tokio::spawn(async move {
            let compute = move || {
                started.send(()).unwrap();
                wait.recv()
            };
            waiting.run(compute).await
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(places.0.available_permits(), 0, "its thread still runs");

        let second = places.run(|| 2);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        go_on.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 2);
        assert_eq!(places.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_computation_that_panics_gives_its_place_back() {
        let places = Places::new(1);
        for _ in 0..2 {
            let failed = places.run(|| -> () { panic!("a bug") }).await.unwrap_err();
            assert!(failed.to_string().contains("interrupted"), "{failed}");
        }
    }
}
