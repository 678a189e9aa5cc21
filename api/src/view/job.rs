//! A job as it is shown, in a list and on its own.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use upshot_queue::{Job, State, Step};
use utoipa::ToSchema;

use super::{
    attempt::{FailedAttemptBody, Waiting},
    outcome::OutcomeBody,
    words::{EventRef, JobState, ProgressBody},
};
use crate::{evidence, known::Known, links::Links, moment::Moment};

/// A job in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobSummary {
    /// 26 characters; it follows from the event and the route.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    pub id: String,
    /// Its queue.
    #[schema(example = "invoices")]
    pub queue: String,
    /// What is to be done.
    #[schema(example = "invoice.issue")]
    pub kind: String,
    /// Whose work it is.
    #[schema(required)]
    pub tenant: Option<String>,
    /// The business key that people know.
    #[schema(required, example = "order-1042")]
    pub subject: Option<String>,
    /// Where it is.
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
    /// How far it is, or was when its last attempt ended.
    #[schema(required)]
    pub progress: Option<ProgressBody>,
    /// What a scheduled job waits for.
    #[schema(required)]
    pub waiting_for: Option<Waiting>,
    /// Where to read on.
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
    /// The event that it came from.
    #[schema(required)]
    event: Option<EventRef>,
    /// Enqueues that found this job already there.
    duplicates: u64,
    /// Who runs it, or ran it last.
    #[schema(required, example = "4711-8d3fa0b2")]
    worker: Option<String>,
    /// The completed steps, oldest first. None of them runs again.
    steps: Vec<StepBody>,
    /// Failures so far, by class.
    #[schema(example = json!({"transient": 2}))]
    failures: BTreeMap<String, u32>,
    /// Attempts that did not finish, oldest first; the oldest are dropped when
    /// there are many.
    history: Vec<FailedAttemptBody>,
    /// What the work came to.
    #[schema(required)]
    outcome: Option<OutcomeBody>,
    /// The arguments, only with `?args=true`: JSON where they are JSON, their
    /// text otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
}

/// A completed step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepBody {
    /// Its name.
    #[schema(example = "store")]
    name: String,
    /// When it was completed.
    completed_at: Moment,
    /// What it stored: any JSON.
    result: Value,
}

/// Where to read on.
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

impl JobSummary {
    /// The body of a job.
    pub fn new(known: &Known, links: &Links) -> Self {
        let job = &known.job;
        Self {
            id: job.id.to_string(),
            queue: job.queue.to_string(),
            kind: job.kind.clone(),
            tenant: job.tenant.clone(),
            subject: job.subject.clone(),
            state: job.state,
            enqueued_at: Moment(job.enqueued_at),
            since: Moment(job.since),
            expected_by: job.expected_by.map(Moment),
            attempts: job.attempts,
            progress: job.progress.as_ref().map(ProgressBody::from),
            waiting_for: Waiting::of(known),
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
    pub fn new(known: &Known, links: &Links, with_args: bool) -> Self {
        let job = &known.job;
        let step = |step: &Step| StepBody {
            name: step.name.clone(),
            completed_at: Moment(step.at),
            result: step.result.clone(),
        };
        Self {
            summary: JobSummary::new(known, links),
            version: job.version,
            event: EventRef::of(job),
            duplicates: job.duplicates,
            worker: job.worker.clone(),
            steps: job.steps.iter().map(step).collect(),
            failures: job.failures.iter().map(|(class, n)| (class.to_string(), *n)).collect(),
            history: job.history.iter().map(FailedAttemptBody::from).collect(),
            outcome: OutcomeBody::of(job, links),
            args: with_args.then(|| arguments(job)),
        }
    }
}

fn arguments(job: &Job) -> Value {
    serde_json::from_slice(&job.args)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&job.args).into_owned()))
}
