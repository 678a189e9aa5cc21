//! Work that uses a processor for long, on threads of its own.

use std::{
    panic::resume_unwind,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use tokio::sync::Semaphore;
use upshot_queue::{Failure, Stop};

use super::Context;

/// One permit for each processor, for all jobs of the process.
static PROCESSORS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))));

impl<S> Context<S> {
    /// Runs work that uses a processor for longer than a few milliseconds: rendering, compression,
    /// hashing. It has a thread of its own, so leases are renewed and other handlers continue meanwhile.
    /// As many run at the same time as there are processors; further ones wait.
    ///
    /// A thread cannot be stopped. Work whose attempt is over ends by itself, and holds its processor
    /// until then.
    ///
    /// # Errors
    /// A transient failure when the process stops. A panic of the work is one of the handler.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stop> {
        compute(&PROCESSORS, work).await
    }
}

async fn compute<T: Send + 'static>(
    processors: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    let permit = Arc::clone(processors).acquire_owned().await.map_err(Failure::transient)?;
    let working = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match working.await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => Err(Failure::transient(cancelled).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::mpsc};

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn further_work_waits_for_a_processor_also_of_an_attempt_that_is_over() {
        let processors = Arc::new(Semaphore::new(1));
        let (let_go, held) = mpsc::channel::<()>();
        let mut first = Box::pin(compute(&processors, move || held.recv()));
        assert!(first.as_mut().now_or_never().is_none());
        // The attempt is over; its thread is not.
        drop(first);
        let mut second = pin!(compute(&processors, || 2));
        assert!(second.as_mut().now_or_never().is_none());
        let_go.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_one_of_the_handler() {
        let processors = Arc::new(Semaphore::new(1));
        let work = compute(&processors, || panic!("no such colour"));
        let panicked: Result<Result<(), Stop>, _> = std::panic::AssertUnwindSafe(work).catch_unwind().await;
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"no such colour"));
        assert_eq!(compute(&processors, || 1).await.unwrap(), 1);
    }
}
