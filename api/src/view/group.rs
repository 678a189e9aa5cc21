//! The views of failures with one cause.

use serde::Serialize;
use upshot_queue::{FailureClass, Group, GroupAct, GroupHistory, Hours, QueueName};
use utoipa::ToSchema;

use super::words::Class;
use crate::{links::Links, moment::Moment, shown::Shown};

/// What jobs share whose last failure had one cause.
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
    /// The class of the failure.
    #[schema(value_type = Class)]
    class: FailureClass,
    /// The kind of the jobs.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// The message without the parts that differ from job to job.
    #[schema(example = "no customer <*>")]
    message: String,
    /// The exact message of the last failure, or the one above when its job has left the group; null when
    /// the group has no jobs now.
    #[schema(required, example = "no customer `c-81`")]
    last_message: Option<String>,
    /// When the first failure was.
    first_seen: Moment,
    /// When the last failure was.
    pub last_seen: Moment,
    /// Since when the group has jobs again, after it had none; null if it always had some.
    #[schema(required)]
    again_since: Option<Moment>,
    /// Failed attempts since the group exists.
    count: u64,
    /// Jobs that are dead now.
    dead: u64,
    /// Jobs that failed so and run again now: they wait, run or are parked.
    retrying: u64,
    /// The last job that failed so and is still in the group; null when the group has no jobs now.
    #[schema(required)]
    sample: Option<String>,
    /// Failed attempts by hour, of the 7 days before the last one; an hour without any is left out.
    hours: Vec<HourBody>,
}

impl GroupBody {
    /// The body of a group of a queue.
    pub fn new(queue: &QueueName, group: Group, hours: Hours, links: &Links, shown: &Shown) -> Self {
        Self {
            fingerprint: group.fingerprint,
            queue: queue.to_string(),
            class: group.class,
            kind: group.kind,
            message: shown.text(&group.message),
            last_message: group.last_message.map(|message| shown.text(&message)),
            first_seen: Moment(group.first_seen),
            last_seen: Moment(group.last_seen),
            again_since: group.again_since.map(Moment),
            count: group.count,
            dead: group.dead,
            retrying: group.retrying,
            sample: group.sample.map(|id| links.job(&id)),
            hours: hours.into_iter().map(|(at, count)| HourBody { at: Moment(at), count }).collect(),
        }
    }
}

/// A group and its history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroupHistory)]
pub struct HistoryBody {
    #[serde(flatten)]
    group: GroupBody,
    /// Failed attempts by tenant, the 20 busiest. A tenant that was displaced by busier ones meanwhile
    /// has at least so many.
    tenants: Vec<HitBody>,
    /// Failed attempts of other tenants.
    other_tenants: u64,
    /// How many tenants were hit; at least so many where `other_tenants` has some.
    tenants_seen: u64,
    /// What operators did about its dead jobs, the newest 20 acts.
    acts: Vec<DoneBody>,
}

/// Failures within an hour.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroupHour)]
pub struct HourBody {
    /// The beginning of the hour.
    at: Moment,
    /// Failed attempts.
    count: u64,
}

/// Failures of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroupTenant)]
pub struct HitBody {
    /// The tenant; null for jobs without one.
    #[schema(required)]
    tenant: Option<String>,
    /// Failed attempts.
    count: u64,
}

/// What an operator did about the dead jobs of a group, and what became of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadGroupAct)]
pub struct DoneBody {
    /// When the retry began.
    at: Moment,
    /// By whom; null where that is not known.
    #[schema(required, example = "token root")]
    by: Option<String>,
    /// Dead jobs that the retry made run again.
    retried: u64,
    /// Those of them that succeeded.
    succeeded: u64,
    /// Those that died of the same cause again.
    again: u64,
    /// Those that died of another cause.
    other: u64,
    /// Those that were cancelled.
    cancelled: u64,
    /// Those that have not ended.
    not_ended: u64,
}

impl HistoryBody {
    /// The body of a group of a queue.
    pub fn new(queue: &QueueName, group: Group, history: GroupHistory, links: &Links, shown: &Shown) -> Self {
        let done = |act: GroupAct| DoneBody {
            at: Moment(act.at),
            not_ended: act.not_ended(),
            by: act.by,
            retried: act.retried,
            succeeded: act.succeeded,
            again: act.again,
            other: act.other,
            cancelled: act.cancelled,
        };
        Self {
            group: GroupBody::new(queue, group, history.hours, links, shown),
            tenants: history.tenants.into_iter().map(|(tenant, count)| HitBody { tenant, count }).collect(),
            other_tenants: history.other_tenants,
            tenants_seen: history.tenants_seen,
            acts: history.acts.into_iter().map(done).collect(),
        }
    }
}
