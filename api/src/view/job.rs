//! The views of a job, in a list and on its own.

use std::collections::BTreeMap;

use chrono::Utc;
use serde::Serialize;
use serde_json::Value;
use upshot_queue::{Priority, State, Step, job::Parked, timeline::timeline};
use utoipa::ToSchema;

use super::{
    attempt::{FailedAttemptBody, Waiting},
    clock::ClockBody,
    outcome::{AwaitingBody, OutcomeBody},
    timeline::EntryBody,
    words::{EventRef, JobState, PriorityClass, ProgressBody},
};
use crate::{evidence, known::Known, links::Links, moment::Moment, shown::Shown};

/// A job in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobSummary {
    /// 26 characters that follow from the event and the route.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    pub id: String,
    /// Its queue.
    #[schema(example = "invoices")]
    pub queue: String,
    /// The kind of work.
    #[schema(example = "invoice.issue")]
    pub kind: String,
    /// How urgent it is.
    #[schema(value_type = PriorityClass)]
    pub priority: Priority,
    /// The tenant.
    #[schema(required)]
    pub tenant: Option<String>,
    /// The business key that people know.
    #[schema(required, example = "order-1042")]
    pub subject: Option<String>,
    /// Its state.
    #[schema(value_type = JobState)]
    pub state: State,
    /// When it was enqueued.
    pub enqueued_at: Moment,
    /// When it entered its state.
    pub since: Moment,
    /// By when its outcome is expected.
    #[schema(required)]
    pub expected_by: Option<Moment>,
    /// Attempts so far, the running one included.
    pub attempts: u64,
    /// The progress of the present or the last attempt.
    #[schema(required)]
    pub progress: Option<ProgressBody>,
    /// What a scheduled or parked job waits for.
    #[schema(required)]
    pub waiting_for: Option<Waiting>,
    /// Links.
    pub links: JobLinks,
}

/// A job with everything that is known about it, except its arguments, which
/// may hold personal data.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobBody {
    #[serde(flatten)]
    summary: JobSummary,
    /// The version of the arguments.
    version: u32,
    /// The event that the job came from.
    #[schema(required)]
    event: Option<EventRef>,
    /// The limit keys beside the queue and the tenant.
    #[schema(example = json!(["smtp"]))]
    limit_keys: Vec<String>,
    /// By when the job must start.
    #[schema(required)]
    deadline: Option<Moment>,
    /// What it waits for while it is parked.
    #[schema(required)]
    parked: Option<ParkedBody>,
    /// The proof that its outcome awaits: the work is done.
    #[schema(required)]
    awaiting: Option<AwaitingBody>,
    /// When the running job was asked to stop.
    #[schema(required)]
    cancel_asked_at: Option<Moment>,
    /// The group of its last failure, if it is dead of it or runs again.
    #[schema(required, example = "5f1d7a84db00d2fc")]
    group: Option<String>,
    /// Of a dead job: the job that took its idempotency key, and runs in its place.
    #[schema(required, example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    successor: Option<String>,
    /// Enqueues that found this job.
    duplicates: u64,
    /// The worker of the present or the last attempt.
    #[schema(required, example = "4711-8d3fa0b2")]
    worker: Option<String>,
    /// The completed steps, oldest first. With these arguments none of them runs again.
    steps: Vec<StepBody>,
    /// Effects that began and have no receipt: they may have happened.
    begun_effects: Vec<BegunBody>,
    /// Steps that were completed with earlier arguments, oldest first. Their results do not count
    /// and they run again; their effects remain.
    dropped_steps: Vec<StepBody>,
    /// Failures so far, by class.
    #[schema(example = json!({"transient": 2}))]
    failures: BTreeMap<String, u32>,
    /// Attempts that did not finish, oldest first. When there are many, the oldest are dropped.
    history: Vec<FailedAttemptBody>,
    /// Its life, oldest first.
    timeline: Vec<EntryBody>,
    /// How long it spent in each stage of its life.
    clock: ClockBody,
    /// What the work came to.
    #[schema(required)]
    outcome: Option<OutcomeBody>,
    /// The arguments, only with `?args=true`. Personal data in them is shown as `…`, unless
    /// `?reveal=true` asks for it: the values that `redact.paths` names, the first parts of mail
    /// addresses, and arguments that are not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
    /// Arguments that an operator or a repairing event replaced, oldest first; only with
    /// `?args=true`, and with the same data hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_args: Option<Vec<Value>>,
}

/// What a parked job waits for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub struct ParkedBody {
    /// The condition. The job continues when the condition is fulfilled.
    #[schema(example = "kind invoice.issue@2")]
    condition: String,
    /// For people.
    #[schema(example = "no handler for invoice.issue version 2 is registered")]
    why: String,
    /// When the job stops waiting for a signal; null for a condition without an end.
    #[schema(required)]
    until: Option<Moment>,
}

/// A completed step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepBody {
    /// Its name.
    #[schema(example = "store")]
    pub name: String,
    /// When it was completed.
    completed_at: Moment,
    /// What it stored: any JSON.
    result: Value,
}

/// An effect that began and has no receipt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BegunEffect)]
pub struct BegunBody {
    /// Its name.
    #[schema(example = "charge")]
    name: String,
    /// When it began.
    began_at: Moment,
}

/// Links.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobLinks {
    /// The job.
    #[serde(rename = "self")]
    pub this: String,
    /// Its progress, as server-sent events.
    pub progress: String,
    /// Its outcome.
    pub outcome: String,
    /// The files that its outcome names.
    pub files: Vec<String>,
}

impl StepBody {
    /// The body of a step.
    pub fn new(step: &Step, shown: &Shown) -> Self {
        Self { name: step.name.clone(), completed_at: Moment(step.at), result: shown.value(&step.result) }
    }
}

impl JobSummary {
    /// The body of a job.
    pub fn new(known: &Known, links: &Links, shown: &Shown) -> Self {
        let job = &known.job;
        Self {
            id: job.id.to_string(),
            queue: job.queue.to_string(),
            kind: job.kind.clone(),
            priority: job.priority,
            tenant: job.tenant.clone(),
            subject: job.subject.clone(),
            state: job.state,
            enqueued_at: Moment(job.enqueued_at),
            since: Moment(job.since),
            expected_by: job.expected_by().map(Moment),
            attempts: job.attempts,
            progress: job.progress.as_ref().map(|progress| ProgressBody::new(progress, shown)),
            waiting_for: Waiting::of(known, shown),
            links: JobLinks {
                this: links.job(&job.id),
                progress: links.progress(&job.id),
                outcome: links.outcome(&job.id),
                files: evidence::files(job).iter().map(|file| links.file(&job.id, &file.name)).collect(),
            },
        }
    }
}

impl JobBody {
    /// The body of a job, with its arguments where they are wanted.
    pub fn new(known: &Known, links: &Links, shown: &Shown, with_args: bool) -> Self {
        let job = &known.job;
        let parked = |parked: &Parked| ParkedBody {
            condition: shown.text(&parked.condition),
            why: shown.text(&parked.why),
            until: parked.until.map(Moment),
        };
        Self {
            summary: JobSummary::new(known, links, shown),
            version: job.version,
            event: EventRef::of(job),
            limit_keys: job.limit_keys.iter().map(|key| shown.text(key)).collect(),
            deadline: job.deadline.map(Moment),
            parked: job.parked.as_ref().filter(|_| job.state == State::Parked).map(parked),
            awaiting: AwaitingBody::of(job, shown),
            cancel_asked_at: job.cancel_asked_at.map(Moment),
            group: job.group.clone(),
            successor: job.successor.as_ref().map(ToString::to_string),
            duplicates: job.duplicates,
            worker: job.worker.clone(),
            steps: job.steps.iter().map(|step| StepBody::new(step, shown)).collect(),
            begun_effects: job
                .begun
                .iter()
                .map(|begun| BegunBody { name: begun.name.clone(), began_at: Moment(begun.at) })
                .collect(),
            dropped_steps: job.dropped.iter().map(|dropped| StepBody::new(&dropped.step, shown)).collect(),
            failures: job.failures.iter().map(|(class, n)| (class.to_string(), *n)).collect(),
            history: job.history.iter().map(|failed| FailedAttemptBody::new(failed, shown)).collect(),
            timeline: timeline(job).iter().map(|entry| EntryBody::new(entry, shown)).collect(),
            clock: ClockBody::new(&job.clock(Utc::now().timestamp_millis())),
            outcome: OutcomeBody::of(job, links, shown),
            args: with_args.then(|| shown.arguments(job, &job.args)),
            earlier_args: with_args
                .then(|| job.earlier_args.iter().map(|edit| shown.arguments(job, &edit.args)).collect()),
        }
    }
}
