//! A job that a handler enqueues.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use upshot_queue::{Expect, Failure, Job, JobId, LABEL_CLOCK, NewJob, Priority, QueueName};

/// A job that a handler enqueues with [`Context::enqueue`](crate::Context::enqueue).
///
/// Its id follows from the parent's id and arguments, its name and its number. So an attempt that runs again
/// finds the job instead of adding a second one. It inherits the parent's tenant, subject, trace
/// and labels. It opens an expectation only with [`Child::within`].
#[derive(Clone, Debug)]
pub struct Child {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) queue: Option<QueueName>,
    kind: &'static str,
    version: u32,
    args: Bytes,
    within: Option<Duration>,
    delay: Duration,
    priority: Priority,
}

impl Child {
    /// A job with these arguments. The name tells the children of one parent apart.
    ///
    /// # Errors
    /// A permanent failure when the arguments are not JSON.
    pub fn new<T: crate::Job + Serialize>(name: impl Into<String>, args: &T) -> Result<Self, Failure> {
        let name = name.into();
        let args = serde_json::to_vec(args).map_err(|error| {
            Failure::permanent(format!(
                "the arguments of the job `{name}` cannot be written as JSON: {error}"
            ))
        })?;
        Ok(Self {
            name,
            number: 0,
            queue: None,
            kind: T::KIND,
            version: T::VERSION,
            args: args.into(),
            within: None,
            delay: Duration::ZERO,
            priority: Priority::default(),
        })
    }

    /// Tells children with one name apart, for a loop. 0 by default.
    #[must_use]
    pub fn number(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// The queue; the parent's by default.
    #[must_use]
    pub fn queue(self, queue: QueueName) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// Opens an expectation: the outcome is expected within this time of the enqueue.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }

    /// Runs only after this delay.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// How urgent it is.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The id of the child of a parent. Other arguments of the parent give other ids.
    pub fn id(&self, parent: &Job) -> JobId {
        let (id, number, edit) = (parent.id.to_string(), self.number.to_string(), parent.edits().to_string());
        JobId::derive(&["child", &id, &self.name, &number, &edit])
    }

    pub(crate) fn below(self, parent: &Job) -> NewJob {
        let mut job = NewJob::new(self.id(parent), self.kind, self.args);
        job.version = self.version;
        job.priority = self.priority;
        job.tenant.clone_from(&parent.tenant);
        job.subject.clone_from(&parent.subject);
        job.trace.clone_from(&parent.trace);
        job.labels.clone_from(&parent.labels);
        // Its own time begins when it is enqueued.
        job.labels.remove(LABEL_CLOCK);
        job.expect = self.within.map(|within| Expect::new(format!("child:{}", job.kind), within));
        job.delay = self.delay;
        job
    }
}
