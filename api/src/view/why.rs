//! The view of what holds a job.

use serde::Serialize;
use upshot_ledger::why::{Ahead, Estimate, Hold, Reason};
use upshot_queue::{Account, FailureClass, State};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    outcome::{OnSilenceName, OutcomeStatus},
    words::{Class, JobState, words},
};
use crate::{moment::Moment, shown::Shown};

/// The schema of a reason, from the type that knows the reasons.
#[derive(Debug)]
pub enum ReasonName {}

impl PartialSchema for ReasonName {
    fn schema() -> RefOr<Schema> {
        words("What holds a job.", Reason::ALL.map(Reason::as_str))
    }
}

impl ToSchema for ReasonName {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("WhyReason")
    }
}

/// What holds a job now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Why)]
pub struct WhyBody {
    /// The job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// What holds it.
    #[schema(value_type = ReasonName)]
    reason: &'static str,
    /// The same in a sentence.
    #[schema(
        example = "The limit of `key:smtp` is reached: 4 of 4 jobs run. 12 jobs of its tenant are ahead of it; 12 jobs of its priority are ready in 1 lanes."
    )]
    text: String,
    /// Since when the job is in its state; of an event that is not enqueued yet, when it was accepted.
    since: Moment,
    /// What there is to know about the reason.
    details: WhyDetails,
    /// What would hold the job next, if the reason ended now.
    also: Vec<AlsoBody>,
    /// When it will probably start and finish; null where nothing is known.
    #[schema(required)]
    estimate: Option<EstimateBody>,
}

/// The job that a view is of.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// Its id.
    pub job: &'a str,
    /// Its kind and version.
    pub kind: &'a str,
    /// Since when it is in its state, UTC ms.
    pub since: i64,
    /// Now, UTC ms.
    pub now: i64,
}

/// Another thing that holds a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WhyAlso)]
pub struct AlsoBody {
    /// What.
    #[schema(value_type = ReasonName)]
    reason: &'static str,
    /// The same in a sentence.
    text: String,
}

/// Ranges of time, each from the earliest to the latest, from recent figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WhyEstimate)]
pub struct EstimateBody {
    /// The start of the next attempt; of a running job of the present one.
    #[schema(value_type = Vec<Moment>, min_items = 2, max_items = 2)]
    start: [Moment; 2],
    /// The end of that attempt.
    #[schema(value_type = Vec<Moment>, min_items = 2, max_items = 2)]
    finish: [Moment; 2],
}

/// What there is to know about a reason. Each reason has some of these.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = WhyDetails)]
pub struct WhyDetails {
    /// Until when it waits: `scheduled`, `backing_off`, `parked_signal`, `awaiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// `backing_off`: the class of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Class>)]
    class: Option<FailureClass>,
    /// `backing_off`: its message, shortened; `parked_signal`, `parked_arguments`: why the job is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// `backing_off`: the attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    /// `backing_off`: failures of this class so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    /// `backing_off`: failures of this class that the job survives.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<u32>,
    /// `limit`, `rate`: the key, as `queue`, `tenant:NAME` or `key:NAME`; `awaiting`: the key of the
    /// confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key:smtp")]
    key: Option<String>,
    /// `limit`: running jobs that count for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<u64>,
    /// `limit`: how many may run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<u32>,
    /// `limit`: some of the running jobs, of those that you see.
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<String>>,
    /// `rate`: when there is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token_at: Option<Moment>,
    /// `parked_signal`: the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "wait order-1042 confirmed")]
    condition: Option<String>,
    /// `awaiting`: what it means when no confirmation comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OnSilenceName>)]
    on_silence: Option<&'static str>,
    /// `parked_version`, `no_worker_for_kind`: the kind and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "invoice.issue@2")]
    kind: Option<String>,
    /// `parked_arguments`: builds that cannot read the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    builds: Option<Vec<String>>,
    /// `parked_version`, `no_worker_for_kind`, `lease_lost`: workers of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<u64>,
    /// `running`, `lease_lost`: the worker of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4711-8d3fa0b2")]
    worker: Option<String>,
    /// `running`: the step that it reported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// `running`: the progress that it reported last, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    /// `running`: when it reported that.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_progress_at: Option<Moment>,
    /// `running`: when it was asked to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_asked_at: Option<Moment>,
    /// `lease_lost`: when the lease expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expired_at: Option<Moment>,
    /// `ended`: the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JobState>)]
    state: Option<State>,
    /// `ended`: how its outcome stands, if one is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OutcomeStatus>)]
    verdict: Option<&'static str>,
    /// `not_enqueued`: events that wait for a bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    /// `not_enqueued`: bridges that take events.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridges: Option<u64>,
    /// `behind`, `limit`, `rate`: its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<AheadBody>,
}

/// The place of a job that waits for its turn.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WhyAhead)]
pub struct AheadBody {
    /// Jobs of its tenant, limit keys and priority that are before it, at least.
    at_least: u64,
    /// The same at most.
    at_most: u64,
    /// Ready jobs of its priority, itself included.
    in_class: u64,
    /// Ready jobs of more urgent priorities.
    more_urgent: u64,
    /// Tenants, with their limit keys, that take turns in its priority.
    lanes: u64,
    /// Jobs of the queue that run.
    running: u64,
    /// Jobs that the workers of its kind run at once.
    slots: u64,
}

impl WhyBody {
    /// The view of what holds a job, the first thing first. `None` if nothing does.
    pub fn new(of: &Of<'_>, holds: &[Hold], estimate: Estimate, shown: &Shown) -> Option<Self> {
        let (first, others) = holds.split_first()?;
        let text = |hold: &Hold| shown.text(&hold.text(of.now));
        let also = |hold: &Hold| AlsoBody { reason: hold.reason().as_str(), text: text(hold) };
        let range = |(from, to): (i64, i64)| [Moment(from), Moment(to)];
        let estimate = estimate.start.zip(estimate.finish);
        Some(Self {
            job: of.job.to_owned(),
            reason: first.reason().as_str(),
            text: text(first),
            since: Moment(of.since),
            details: WhyDetails::new(first, of.kind, shown),
            also: others.iter().map(also).collect(),
            estimate: estimate
                .map(|(start, finish)| EstimateBody { start: range(start), finish: range(finish) }),
        })
    }
}

impl WhyDetails {
    fn new(hold: &Hold, kind: &str, shown: &Shown) -> Self {
        let none = Self::default();
        let moment = |at: Option<i64>| at.map(Moment);
        match hold {
            Hold::NotEnqueued { events, bridges, .. } => Self { events: *events, bridges: *bridges, ..none },
            Hold::Scheduled { until } => Self { until: moment(*until), ..none },
            Hold::BackingOff { class, message, until, attempt, failures, budget } => Self {
                class: Some(*class),
                message: Some(shown.text(message)),
                until: moment(*until),
                attempt: Some(*attempt),
                failures: Some(*failures),
                budget: *budget,
                ..none
            },
            Hold::Limit { key, running, most, holders, ahead } => Self {
                key: Some(key.to_string()),
                running: Some(*running),
                most: *most,
                holders: Some(holders.iter().map(ToString::to_string).collect()),
                ahead: Some(ahead.into()),
                ..none
            },
            Hold::Rate { key, next_token, ahead } => Self {
                key: Some(key.to_string()),
                next_token_at: Some(Moment(*next_token)),
                ahead: Some(ahead.into()),
                ..none
            },
            Hold::QueuePaused | Hold::KindPaused { .. } | Hold::NoWorker => none,
            Hold::ParkedSignal { condition, why, until } => Self {
                condition: Some(shown.text(condition)),
                message: Some(shown.text(why)),
                until: moment(*until),
                ..none
            },
            Hold::Awaiting { key, until, on_silence } => Self {
                key: Some(shown.text(key)),
                until: moment(*until),
                on_silence: Some(on_silence.as_str()),
                ..none
            },
            Hold::ParkedVersion { workers } | Hold::NoWorkerForKind { workers } => {
                Self { kind: Some(kind.to_owned()), workers: Some(*workers), ..none }
            }
            Hold::ParkedArguments { why, builds } => {
                Self { message: Some(shown.text(why)), builds: Some(builds.clone()), ..none }
            }
            Hold::Behind { ahead } => Self { ahead: Some(ahead.into()), ..none },
            Hold::Running { worker, step, percent, last_progress_at, cancel_asked_at } => Self {
                worker: Some(worker.clone()),
                step: step.clone(),
                percent: *percent,
                last_progress_at: moment(*last_progress_at),
                cancel_asked_at: moment(*cancel_asked_at),
                ..none
            },
            Hold::LeaseLost { worker, expired_at, workers } => Self {
                worker: Some(worker.clone()),
                lease_expired_at: moment(*expired_at),
                workers: Some(*workers),
                ..none
            },
            Hold::Ended { state, verdict } => {
                Self { state: Some(*state), verdict: verdict.map(Account::as_str), ..none }
            }
        }
    }
}

impl From<&Ahead> for AheadBody {
    fn from(ahead: &Ahead) -> Self {
        let Ahead { at_least, at_most, in_class, more_urgent, lanes, running, slots } = *ahead;
        Self { at_least, at_most, in_class, more_urgent, lanes, running, slots }
    }
}
