//! Named parts of a job that are done once.
//!
//! A step's result is stored under the lease when it completes; in a later
//! attempt the stored result is returned and the step does not run again. The
//! moment between the effect and the storing remains: a step with an outside
//! effect must find out by itself whether an earlier attempt got that far.

use serde::{Serialize, de::DeserializeOwned};
use upshot_queue::{Failure, FailureClass, Lease, Progress, worker::WriteError};

/// The steps of one job, in order.
#[derive(Debug)]
pub struct Steps<'a, const N: usize> {
    lease: &'a Lease,
    names: [&'static str; N],
}

impl<'a, const N: usize> Steps<'a, N> {
    /// The steps by name; the names are stored with the job and must stay.
    pub fn new(lease: &'a Lease, names: [&'static str; N]) -> Self {
        Self { lease, names }
    }

    /// Runs a step, or returns what it returned in an earlier attempt. A step may also put
    /// the job off, with an error that a failure can become ([`Stop`](upshot_queue::Stop)).
    ///
    /// # Errors
    /// That of the step; a crash-class failure when the lease is lost, which
    /// nobody will see: the attempt is over.
    pub async fn run<T, E, F>(&self, name: &'static str, step: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Failure>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        if let Some(stored) = self.lease.step(name) {
            return serde_json::from_value(stored.clone()).map_err(|error| {
                let what = format!("the stored result of step `{name}` cannot be read: {error}");
                E::from(Failure::permanent(what))
            });
        }
        let place = self.names.iter().position(|each| *each == name).unwrap_or_default();
        self.say(place, Some(name)).await?;
        // A process that was stopped for long must not act on an old lease.
        self.lease.verify().await.map_err(over)?;
        let result = step().await?;
        let value = serde_json::to_value(&result).map_err(|error| {
            E::from(Failure::permanent(format!("step `{name}`: its result is no JSON: {error}")))
        })?;
        self.lease.complete_step(name, &value).await.map_err(over)?;
        tracing::debug!(step = name, "step completed");
        Ok(result)
    }

    /// All steps are done.
    ///
    /// # Errors
    /// When the lease is lost.
    pub async fn done(&self) -> Result<(), Failure> {
        self.say(N, None).await
    }

    async fn say(&self, done: usize, step: Option<&str>) -> Result<(), Failure> {
        let percent = (done * 100).checked_div(N).unwrap_or(100).min(100) as u8;
        let progress = Progress { percent, step: step.map(ToOwned::to_owned), message: None };
        self.lease.progress(&progress).await.map_err(over)
    }
}

/// What follows from a write that was not made.
fn over(error: WriteError) -> Failure {
    match error {
        WriteError::Stale(_) => Failure::new(FailureClass::Crashed, error),
        // It would be no smaller the next time.
        WriteError::TooLarge { .. } | WriteError::Json(_) => Failure::permanent(error),
    }
}
