//! The views of how long a job or the outcomes of a route take.

use std::collections::BTreeMap;

use serde::Serialize;
use upshot_ledger::clocks::{Quantiles, RouteTimes};
use upshot_queue::{Clock, Histogram, Stage};
use utoipa::ToSchema;

/// How long a job spent in each stage of its life, ms. The stages add up to the whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Clock)]
pub struct ClockBody {
    /// From the event's time to the end of the job, or until now.
    whole_ms: i64,
    /// From the event's time until the bridge had it.
    broker_ms: i64,
    /// From then until the job was enqueued.
    bridge_ms: i64,
    /// Waited for a worker, or for its time before the first attempt.
    queue_ms: i64,
    /// Parked, or put off by its handler.
    parked_ms: i64,
    /// Ran.
    run_ms: i64,
    /// Waited for the next attempt after a failure.
    retry_wait_ms: i64,
    /// The work was done, and its proof was to come.
    confirmation_ms: i64,
    /// Was dead until it was retried.
    dead_ms: i64,
    /// Whether the clocks of the producer, the bridge and Redis disagree: a time lay behind a later
    /// one, and counts as the later one.
    is_skewed: bool,
}

/// How long the outcomes took that were achieved in the period, by whole hours of at most the last 7
/// days. A time is at most 4.4 % beside the exact one.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Times)]
pub struct TimesBody {
    /// Outcomes that are counted. A worker that is killed loses its last second of them.
    achieved: u64,
    /// Those of them for which the clocks of the producer, the bridge and Redis disagreed. A time that
    /// lay behind a later one counts as the later one.
    skewed: u64,
    /// From the event's time to achieved; null without any.
    #[schema(required)]
    whole: Option<QuantilesBody>,
    /// By stage: `broker`, `bridge`, `queue`, `parked`, `run`, `retry_wait`, `confirmation`, `dead`.
    #[schema(example = json!({"queue": {"p50_ms": 2, "p95_ms": 10, "p99_ms": 64}}))]
    stages: BTreeMap<&'static str, QuantilesBody>,
    /// The oldest outcome without a verdict, of those that were looked at: all late ones, and of the
    /// others some dozens in each state. Null if none is open.
    #[schema(required)]
    oldest_open: Option<OldestBody>,
}

/// Times that a half, 95 and 99 of a hundred outcomes did not exceed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Quantiles)]
pub struct QuantilesBody {
    /// A half.
    p50_ms: i64,
    /// 95 of a hundred.
    p95_ms: i64,
    /// 99 of a hundred.
    p99_ms: i64,
}

/// An outcome without a verdict.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OldestOpen)]
pub struct OldestBody {
    /// Its job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// Since the event's time.
    age_ms: i64,
}

impl ClockBody {
    /// The body of a clock.
    pub fn new(clock: &Clock) -> Self {
        Self {
            whole_ms: clock.whole(),
            broker_ms: clock.of(Stage::Broker),
            bridge_ms: clock.of(Stage::Bridge),
            queue_ms: clock.of(Stage::Queue),
            parked_ms: clock.of(Stage::Parked),
            run_ms: clock.of(Stage::Run),
            retry_wait_ms: clock.of(Stage::RetryWait),
            confirmation_ms: clock.of(Stage::Confirmation),
            dead_ms: clock.of(Stage::Dead),
            is_skewed: clock.is_skewed,
        }
    }
}

impl QuantilesBody {
    fn of(times: &Histogram) -> Option<Self> {
        let Quantiles { p50, p95, p99 } = Quantiles::of(times)?;
        Some(Self { p50_ms: p50, p95_ms: p95, p99_ms: p99 })
    }
}

impl TimesBody {
    /// The body of the times of routes.
    pub fn new(times: RouteTimes) -> Self {
        let clocks = &times.clocks;
        let stage = |stage: Stage| Some((stage.as_str(), QuantilesBody::of(&clocks.of(stage))?));
        Self {
            achieved: clocks.whole.count(),
            skewed: clocks.skewed,
            whole: QuantilesBody::of(&clocks.whole),
            stages: Stage::ALL.into_iter().filter_map(stage).collect(),
            oldest_open: times
                .oldest
                .map(|oldest| OldestBody { job: oldest.job.to_string(), age_ms: oldest.age }),
        }
    }
}
