//! The view of an expectation: how it stands or ended.

use std::collections::BTreeMap;

use serde::Serialize;
use upshot_queue::{FailureClass, Job, State};
use upshot_shared::Evidence;
use utoipa::ToSchema;

use super::words::{Class, EventRef};
use crate::{
    evidence::{self, StoredFile},
    links::Links,
    moment::Moment,
};

/// What the work came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub struct OutcomeBody {
    /// For people.
    #[schema(example = "invoice 1042 issued and sent to ada@lindqvist.example")]
    summary: String,
    /// What can be checked.
    evidence: Vec<EvidenceBody>,
}

/// A fact that can be checked afterwards.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceBody {
    /// What kind of evidence: `object`, `mail`.
    #[schema(example = "object")]
    kind: String,
    /// Its facts.
    #[serde(flatten)]
    #[schema(example = json!({"key": "invoices/1042.pdf", "sha256": "9f86d0…", "content_type": "application/pdf", "bytes": "31544"}))]
    facts: BTreeMap<String, String>,
    /// For an object, the address of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

/// How an expectation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OutcomeStatus)]
pub enum Status {
    /// The work came out right, with evidence.
    Achieved,
    /// The work will not come out right by itself; see the reason.
    Missed,
    /// An operator cancelled the work.
    Cancelled,
    /// Not decided, and in time.
    Open,
    /// Not decided, and late.
    Overdue,
}

/// The expectation of one job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OutcomeReport {
    /// The job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// Its queue.
    queue: String,
    /// The kind of work.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// The business key that people know.
    #[schema(required, example = "order-1042")]
    subject: Option<String>,
    /// The event that asked for it.
    #[schema(required)]
    event: Option<EventRef>,
    /// Its status.
    status: Status,
    /// By when it was expected.
    #[schema(required)]
    expected_by: Option<Moment>,
    /// When it was decided.
    #[schema(required)]
    decided_at: Option<Moment>,
    /// Whether it was achieved in time; null while that is open.
    #[schema(required)]
    in_time: Option<bool>,
    /// For people, when it was achieved.
    #[schema(required)]
    summary: Option<String>,
    /// What can be checked.
    evidence: Vec<EvidenceBody>,
    /// Why it was missed, or why the attempts so far failed.
    #[schema(required)]
    reason: Option<ReasonBody>,
    /// The job's address.
    url: String,
}

/// A failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonBody {
    /// What kind of failure.
    #[schema(value_type = Class)]
    class: FailureClass,
    /// The message.
    #[schema(example = "550 no such mailbox: ada@lindqvist.example")]
    message: String,
}

impl OutcomeBody {
    /// The result of the job's handler. A value that is not an outcome with evidence is shown as
    /// text.
    pub fn of(job: &Job, links: &Links) -> Option<Self> {
        if let Some(outcome) = evidence::outcome(job) {
            let shown = |evidence: &Evidence| EvidenceBody::new(evidence, job, links);
            let evidence = outcome.evidence().iter().map(shown).collect();
            return Some(Self { summary: outcome.summary, evidence });
        }
        let returned = job.outcome.as_ref()?;
        Some(Self { summary: returned.to_string(), evidence: Vec::new() })
    }
}

impl EvidenceBody {
    fn new(evidence: &Evidence, job: &Job, links: &Links) -> Self {
        let href = StoredFile::of(evidence).map(|file| links.file(&job.id, &file.name));
        Self { kind: evidence.kind.clone(), facts: evidence.facts.clone(), href }
    }
}

impl Status {
    /// How the expectation of a job stands at `now`, UTC ms.
    pub fn of(job: &Job, now: i64) -> Self {
        match job.state {
            State::Succeeded => Self::Achieved,
            State::Dead => Self::Missed,
            State::Cancelled => Self::Cancelled,
            _ if job.expected_by().is_some_and(|by| now > by) => Self::Overdue,
            _ => Self::Open,
        }
    }

    /// Whether it was achieved in time; `None` while that is open.
    fn in_time(self, job: &Job) -> Option<bool> {
        match self {
            Self::Achieved => job.expected_by().map(|by| job.since <= by),
            Self::Missed | Self::Overdue => Some(false),
            Self::Cancelled | Self::Open => None,
        }
    }
}

impl OutcomeReport {
    /// How the expectation of a job stands at `now`, UTC ms.
    pub fn new(job: &Job, now: i64, links: &Links) -> Self {
        let status = Status::of(job, now);
        let (summary, evidence) = OutcomeBody::of(job, links)
            .map_or_else(Default::default, |outcome| (Some(outcome.summary), outcome.evidence));
        let failed = job.history.last().filter(|_| status != Status::Achieved);
        Self {
            job: job.id.to_string(),
            queue: job.queue.to_string(),
            kind: job.kind.clone(),
            subject: job.subject.clone(),
            event: EventRef::of(job),
            status,
            expected_by: job.expected_by().map(Moment),
            decided_at: job.state.is_final().then_some(Moment(job.since)),
            in_time: status.in_time(job),
            summary,
            evidence,
            reason: failed.map(|last| ReasonBody { class: last.class, message: last.message.clone() }),
            url: links.job(&job.id),
        }
    }
}
