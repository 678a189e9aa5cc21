//! The view of a watched job.

use serde::Serialize;
use upshot_queue::{Priority, State};
use utoipa::ToSchema;

use super::{
    attempt::{FailedAttemptBody, Waiting},
    outcome::OutcomeBody,
    words::{JobState, PriorityClass, ProgressBody},
};
use crate::{known::Known, links::Links, shown::Shown};

/// The data of a progress event: the whole state in every event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Snapshot {
    /// The job.
    id: String,
    /// Its state.
    #[schema(value_type = JobState)]
    state: State,
    /// How urgent it is.
    #[schema(value_type = PriorityClass)]
    priority: Priority,
    /// Attempts so far, the running one included.
    attempts: u64,
    /// The progress of the present or the last attempt.
    #[schema(required)]
    progress: Option<ProgressBody>,
    /// Names of completed steps.
    steps: Vec<String>,
    /// What a scheduled job waits for.
    #[schema(required)]
    waiting_for: Option<Waiting>,
    /// The last attempt that did not finish.
    #[schema(required)]
    failure: Option<FailedAttemptBody>,
    /// What the work came to.
    #[schema(required)]
    outcome: Option<OutcomeBody>,
}

impl Snapshot {
    /// The snapshot of a job.
    pub fn new(known: &Known, links: &Links, shown: &Shown) -> Self {
        let job = &known.job;
        Self {
            id: job.id.to_string(),
            state: job.state,
            priority: job.priority,
            attempts: job.attempts,
            progress: job.progress.as_ref().map(|progress| ProgressBody::new(progress, shown)),
            steps: job.steps.iter().map(|step| step.name.clone()).collect(),
            waiting_for: Waiting::of(known, shown),
            failure: job.history.last().map(|failed| FailedAttemptBody::new(failed, shown)),
            outcome: OutcomeBody::of(job, links, shown),
        }
    }
}
