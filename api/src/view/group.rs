//! Dead jobs of one cause as they are shown.

use serde::Serialize;
use upshot_queue::{FailureClass, Group, QueueName};
use utoipa::ToSchema;

use super::words::Class;
use crate::{links::Links, moment::Moment};

/// What dead jobs of one cause have in common.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroup)]
pub struct GroupBody {
    /// Its name: what `group` means elsewhere. It follows from class, kind and
    /// message, and is stable.
    #[schema(example = "5f1d7a84db00d2fc")]
    fingerprint: String,
    /// The queue of the jobs.
    #[schema(example = "invoices")]
    queue: String,
    /// The class of the failure that ended them.
    #[schema(value_type = Class)]
    class: FailureClass,
    /// The kind of the jobs.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// The message without what differs from job to job.
    #[schema(example = "no customer <*>")]
    message: String,
    /// The message of the last one as it was.
    #[schema(example = "no customer `c-81`")]
    last_message: String,
    /// When one was first seen.
    first_seen: Moment,
    /// When one was last seen.
    pub last_seen: Moment,
    /// Deaths since the group came up; a job that was retried and died again
    /// counts twice.
    count: u64,
    /// Jobs that are dead now.
    dead: u64,
    /// The last job that died of it; it may be forgotten by now.
    sample: String,
}

impl GroupBody {
    /// The body of a group of a queue.
    pub fn new(queue: &QueueName, group: Group, links: &Links) -> Self {
        Self {
            fingerprint: group.fingerprint,
            queue: queue.to_string(),
            class: group.class,
            kind: group.kind,
            message: group.message,
            last_message: group.last_message,
            first_seen: Moment(group.first_seen),
            last_seen: Moment(group.last_seen),
            count: group.count,
            dead: group.dead,
            sample: links.job(&group.sample),
        }
    }
}
