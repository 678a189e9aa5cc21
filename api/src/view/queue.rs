//! The view of a queue.

mod workers;

use std::{cmp::Reverse, collections::BTreeMap};

use futures::future;
use serde::Serialize;
use upshot_queue::{
    Client, ConditionCursor, Error, Limit, LimitKey, LimitUse, LimitsInUse, Outbox, OutboxGroup, Priority,
    Releasing, State,
};
use utoipa::ToSchema;

use upshot_shared::Intake;
use workers::WorkersBody;

use crate::{moment::Moment, shown::Shown};

/// Conditions that are shown at most.
const CONDITIONS: usize = 100;
/// Limits that are examined, and limits that are shown.
const LOOKED_AT: usize = 1_000;
const LIMITS: usize = 200;

/// A queue: its jobs by state, and what delays them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueBody {
    /// Its name.
    #[schema(example = "invoices")]
    name: String,
    /// Whether it is paused: nothing starts, running jobs continue.
    paused: bool,
    /// Kinds that are paused: their jobs are parked when their turn comes.
    paused_kinds: Vec<String>,
    /// Jobs by state.
    #[schema(example = json!({"scheduled": 2, "ready": 40, "running": 16, "parked": 0, "succeeded": 1200, "dead": 3, "cancelled": 1}))]
    jobs: BTreeMap<&'static str, u64>,
    /// Ready jobs by priority.
    #[schema(example = json!({"critical": 0, "high": 4, "normal": 36, "low": 0}))]
    ready: BTreeMap<&'static str, u64>,
    /// The workers that run its jobs.
    workers: WorkersBody,
    /// Limits and weights in all processes, 200 at most. Limits that lanes wait for come first.
    limits: Vec<LimitBody>,
    /// Whether there are more limits.
    limits_cut: bool,
    /// What parked jobs wait for, that of most jobs first; the first 100 of some 1000
    /// that are looked at.
    conditions: Vec<ConditionBody>,
    /// Whether there are more conditions.
    conditions_cut: bool,
    /// Parked jobs that are released in the background: their kind was resumed, or their condition
    /// was fulfilled.
    releasing: Vec<ReleaseBody>,
    /// The record of all transitions, and its readers.
    outbox: OutboxBody,
    /// Transitions of jobs since the queue began, by name.
    #[schema(example = json!({"enqueued": 1262, "claimed": 1230, "succeeded": 1200}))]
    transitions: BTreeMap<String, u64>,
}

/// A limit and its use. Null means not limited.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Limit)]
pub struct LimitBody {
    /// `queue`, `tenant:NAME` or `key:NAME`.
    #[schema(example = "key:smtp")]
    key: String,
    /// Jobs that run at once, in all processes.
    #[schema(required)]
    concurrency: Option<u32>,
    /// Jobs that start a second, on the average.
    #[schema(required)]
    rate: Option<f64>,
    /// Jobs that may start at once after a quiet time.
    #[schema(required)]
    burst: Option<u32>,
    /// A tenant's share beside others, which have 1.
    #[schema(required)]
    weight: Option<f64>,
    /// Jobs that run under it; null if only the rate is limited.
    #[schema(required)]
    running: Option<u64>,
    /// For a rate: jobs that may start at once.
    #[schema(required)]
    tokens: Option<u64>,
    /// Lanes (a tenant's jobs of one priority) that wait for it.
    waiting_lanes: u64,
}

/// What parked jobs wait for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Condition)]
pub struct ConditionBody {
    /// The condition: a worker that knows a kind, the end of a pause of a kind, or
    /// `wait NAME`, which a handler named.
    #[schema(example = "kind invoice.issue@2")]
    condition: String,
    /// Jobs that are parked for it.
    jobs: u64,
}

/// A release of parked jobs in the background.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Release)]
pub struct ReleaseBody {
    /// What they waited for.
    #[schema(example = "resume invoice.issue")]
    condition: String,
    /// Jobs that were parked for it when the release began.
    jobs: u64,
    /// Jobs that are released.
    done: u64,
    /// When the release began.
    since: Moment,
}

/// The record of all transitions. An entry is kept while any group needs it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Outbox)]
pub struct OutboxBody {
    /// Entries that are kept. An entry may have many transitions.
    entries: u64,
    /// The groups of readers.
    groups: Vec<OutboxGroupBody>,
}

/// A group of readers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OutboxGroup)]
pub struct OutboxGroupBody {
    /// Its name.
    #[schema(example = "audit")]
    name: String,
    /// Members that have read anything.
    members: u64,
    /// Entries that members have read and not acknowledged.
    unacknowledged: u64,
    /// Entries that no member has read; null if Redis does not know.
    #[schema(required)]
    lag: Option<u64>,
    /// The time of the oldest entry that the group needs. This entry and all later ones are kept.
    #[schema(required)]
    needs_since: Option<Moment>,
}

impl From<Outbox> for OutboxBody {
    fn from(outbox: Outbox) -> Self {
        let group = |group: OutboxGroup| OutboxGroupBody {
            name: group.name,
            members: group.members,
            unacknowledged: group.unacknowledged,
            lag: group.lag,
            needs_since: group.needs_since.map(Moment),
        };
        Self { entries: outbox.entries, groups: outbox.groups.into_iter().map(group).collect() }
    }
}

impl QueueBody {
    /// Reads a queue: a few round trips at once, whatever the number of jobs, limits and conditions.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(queue: &Client, intake: &Intake, shown: &Shown) -> Result<Self, Error> {
        let conditions = queue.conditions_part(ConditionCursor::default());
        let holding =
            future::try_join3(queue.paused_kinds(), queue.limits_in_use(LOOKED_AT), queue.workers());
        let (counts, (mut paused_kinds, used, workers), (conditions, more_conditions), outbox, releases) =
            future::try_join5(queue.counts(), holding, conditions, queue.outbox(), queue.releases()).await?;
        let named = conditions.iter().map(|(condition, _)| condition.as_str());
        let workers = WorkersBody::new(&workers, queue.name(), intake, named);
        let mut conditions: Vec<ConditionBody> =
            conditions.into_iter().map(|(condition, jobs)| ConditionBody { condition, jobs }).collect();
        conditions.sort_by(|one, other| {
            other.jobs.cmp(&one.jobs).then_with(|| one.condition.cmp(&other.condition))
        });
        let conditions_cut = more_conditions.is_some() || conditions.len() > CONDITIONS;
        conditions.truncate(CONDITIONS);
        for waited in &mut conditions {
            waited.condition = shown.text(&waited.condition);
        }
        paused_kinds.sort();
        let LimitsInUse { mut limits, is_cut } = used;
        let limits_cut = is_cut || limits.len() > LIMITS;
        if limits_cut {
            limits.sort_by_key(|(.., used)| Reverse(used.waiting_lanes));
            limits.truncate(LIMITS);
            limits.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        }
        let release = |Releasing { condition, total, done, since }| ReleaseBody {
            condition: shown.text(&condition),
            jobs: total,
            done,
            since: Moment(since),
        };
        Ok(Self {
            name: queue.name().to_string(),
            paused: counts.paused,
            paused_kinds,
            jobs: State::ALL.into_iter().map(|state| (state.as_str(), counts.of(state))).collect(),
            ready: Priority::ALL.into_iter().map(Priority::as_str).zip(counts.ready).collect(),
            workers,
            limits: limits.iter().map(LimitBody::new).collect(),
            limits_cut,
            conditions,
            conditions_cut,
            releasing: releases.into_iter().map(release).collect(),
            outbox: outbox.into(),
            // Operations are counted beside the jobs.
            transitions: counts
                .transitions
                .into_iter()
                .filter(|(name, _)| !name.starts_with("operation:"))
                .collect(),
        })
    }
}

impl LimitBody {
    fn new((key, limit, used): &(LimitKey, Limit, LimitUse)) -> Self {
        Self {
            key: key.to_string(),
            concurrency: limit.concurrency,
            rate: limit.rate,
            burst: limit.burst,
            weight: limit.weight,
            running: used.running,
            tokens: used.tokens,
            waiting_lanes: used.waiting_lanes,
        }
    }
}
