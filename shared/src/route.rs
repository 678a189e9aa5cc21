//! Which event becomes which job, and under which id.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upshot_queue::{JobId, QueueName};

use crate::{event::Identity, settings::duration};

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
    pub fn job_id(&self, source: &str, identity: Identity<'_>) -> JobId {
        let (which, text) = match identity {
            Identity::Id(text) => ("id", text),
            Identity::Key(text) => ("key", text),
        };
        JobId::derive(&[self.queue.as_str(), &self.job, source, which, text])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_key_of_the_same_text_are_different_jobs() {
        let route = Route {
            event: "order.completed.v1".into(),
            job: "invoice.issue".into(),
            version: 1,
            queue: "invoices".parse().unwrap(),
            within: Duration::from_secs(60),
        };
        let id = route.job_id("/shop", Identity::Id("1042"));
        assert_ne!(id, route.job_id("/shop", Identity::Key("1042")));
        assert_ne!(id, route.job_id("/other", Identity::Id("1042")));
        assert_eq!(id, Route { within: Duration::ZERO, ..route }.job_id("/shop", Identity::Id("1042")));
    }
}
