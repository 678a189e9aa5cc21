//! A queue as it is shown.

use std::collections::BTreeMap;

use futures::future;
use serde::Serialize;
use upshot_queue::{Error, Limit, LimitKey, LimitUse, NeedCursor, Priority, Queue, State};
use utoipa::ToSchema;

/// Needs that are shown at most.
const NEEDS: usize = 100;

/// A queue: how many jobs are where, and what holds them back.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueBody {
    /// Its name.
    #[schema(example = "invoices")]
    name: String,
    /// Whether it is paused: nothing starts, what runs goes on.
    paused: bool,
    /// Kinds that are paused: their jobs are parked when their turn comes.
    paused_kinds: Vec<String>,
    /// Jobs by state.
    #[schema(example = json!({"scheduled": 2, "ready": 40, "running": 16, "parked": 0, "succeeded": 1200, "dead": 3, "cancelled": 1}))]
    jobs: BTreeMap<&'static str, u64>,
    /// Ready jobs by priority.
    #[schema(example = json!({"critical": 0, "high": 4, "normal": 36, "low": 0}))]
    ready: BTreeMap<&'static str, u64>,
    /// Limits and weights, in all processes.
    limits: Vec<LimitBody>,
    /// What parked jobs need, the most needed first; the first 100 of some 1000
    /// that are looked at.
    needs: Vec<NeedBody>,
    /// Transitions of jobs since the queue began, by name.
    #[schema(example = json!({"enqueued": 1262, "claimed": 1230, "succeeded": 1200}))]
    transitions: BTreeMap<String, u64>,
}

/// A limit and how much of it is used. What is null is not limited.
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
    /// Jobs that run under it now.
    running: u64,
    /// Lanes (a tenant's jobs of one priority) that wait for it now.
    waiting_lanes: u64,
}

/// What parked jobs need.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Need)]
pub struct NeedBody {
    /// The need: a worker that knows a kind, the end of a pause of a kind, or
    /// `wait NAME`, which a handler named.
    #[schema(example = "kind invoice.issue@2")]
    need: String,
    /// Jobs that are parked for it.
    jobs: u64,
}

impl QueueBody {
    /// Reads a queue: a few round trips, whatever the number of jobs.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(queue: &Queue) -> Result<Self, Error> {
        let needs = queue.needs_part(NeedCursor::default());
        let (counts, limits, (needs, _)) = future::try_join3(queue.counts(), queue.limits(), needs).await?;
        let uses = future::try_join_all(limits.limits.iter().map(|(key, _)| queue.limit_use(key))).await?;
        let mut needs: Vec<NeedBody> =
            needs.into_iter().map(|(need, jobs)| NeedBody { need, jobs }).collect();
        needs.sort_by(|one, other| other.jobs.cmp(&one.jobs).then_with(|| one.need.cmp(&other.need)));
        needs.truncate(NEEDS);
        Ok(Self {
            name: queue.name().to_string(),
            paused: limits.paused,
            paused_kinds: limits.paused_kinds,
            jobs: State::ALL.into_iter().map(|state| (state.as_str(), counts.of(state))).collect(),
            ready: Priority::ALL.into_iter().map(Priority::as_str).zip(counts.ready).collect(),
            limits: limits.limits.iter().zip(uses).map(LimitBody::new).collect(),
            needs,
            transitions: counts.transitions.into_iter().collect(),
        })
    }
}

impl LimitBody {
    fn new(((key, limit), used): (&(LimitKey, Limit), LimitUse)) -> Self {
        Self {
            key: key.to_string(),
            concurrency: limit.concurrency,
            rate: limit.rate,
            burst: limit.burst,
            weight: limit.weight,
            running: used.running,
            waiting_lanes: used.waiting_lanes,
        }
    }
}
