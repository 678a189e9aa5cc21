//! Which event becomes which job, and under which id.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upshot_queue::{JobId, QueueName};

use crate::settings::duration;

/// The rule that maps an event type to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The event type, such as `order.completed.v1`.
    pub event: String,
    /// The kind of job.
    pub job: String,
    /// The version of the job's arguments.
    #[serde(default = "one")]
    pub version: u32,
    /// The queue.
    pub queue: QueueName,
    /// By when the outcome is expected, counted from the acceptance.
    #[serde(with = "duration")]
    pub within: Duration,
}

fn one() -> u32 {
    1
}

impl Route {
    /// The id of the job that an event becomes on this route. It follows from
    /// what identifies the event, so the same event published again, on any
    /// way, finds the same job; and anybody who knows the event knows where to
    /// look.
    pub fn job_id(&self, source: &str, identity: &str) -> JobId {
        JobId::derive(&[self.queue.as_str(), &self.job, source, identity])
    }
}
