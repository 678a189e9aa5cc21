//! How an attempt ends that has no outcome.

use upshot_queue::{Failure, Park};

/// Why a part of a job was not done, and what follows for the job.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The attempt failed; the class decides about another one.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// The job waits, and the attempt does not count: trying again changes nothing until
    /// somebody mends what it needs.
    #[error("{0}")]
    Parked(#[from] Park),
}

impl Stop {
    /// What happened, for people.
    pub fn why(&self) -> &str {
        match self {
            Self::Failed(failure) => &failure.message,
            Self::Parked(park) => &park.why,
        }
    }
}
