//! The view of dead jobs with one cause.

use serde::Serialize;
use upshot_queue::{FailureClass, Group, QueueName};
use utoipa::ToSchema;

use super::words::Class;
use crate::{links::Links, moment::Moment, shown::Shown};

/// What dead jobs with one cause share.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroup)]
pub struct GroupBody {
    /// The stable name of the group, which other calls take as `group`. It follows from class, kind
    /// and message.
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
    /// The message without the parts that differ from job to job.
    #[schema(example = "no customer <*>")]
    message: String,
    /// The exact message of the last job.
    #[schema(example = "no customer `c-81`")]
    last_message: String,
    /// When the first job died.
    first_seen: Moment,
    /// When the last job died.
    pub last_seen: Moment,
    /// Deaths since the group exists. A job that was retried and died again counts twice.
    count: u64,
    /// Jobs that are dead now.
    dead: u64,
    /// The last job that died of this cause. It may be forgotten already.
    sample: String,
}

impl GroupBody {
    /// The body of a group of a queue.
    pub fn new(queue: &QueueName, group: Group, links: &Links, shown: &Shown) -> Self {
        Self {
            fingerprint: group.fingerprint,
            queue: queue.to_string(),
            class: group.class,
            kind: group.kind,
            message: shown.text(&group.message),
            last_message: shown.text(&group.last_message),
            first_seen: Moment(group.first_seen),
            last_seen: Moment(group.last_seen),
            count: group.count,
            dead: group.dead,
            sample: links.job(&group.sample),
        }
    }
}
