//! The view of an expectation: how it stands or ended.

use std::collections::BTreeMap;

use serde::Serialize;
use upshot_queue::{Account, FailureClass, Job, OnSilence, QueueName, Remark, State, VerdictRow};
use upshot_shared::{Evidence, Part};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::words::{Class, EventRef, words};
use crate::{
    evidence::{self, StoredFile},
    links::Links,
    moment::Moment,
    shown::Shown,
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
    /// Its parts, if it has any.
    parts: Vec<PartBody>,
}

/// A part of an outcome.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Part)]
pub struct PartBody {
    /// What it is.
    #[schema(example = "letter to the landlord")]
    name: String,
    /// What it weighs beside the other parts.
    weight: u32,
    /// Whether it was achieved.
    achieved: bool,
    /// Why it was missed.
    #[schema(required)]
    reason: Option<String>,
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

/// The schema of an outcome's status, from the type that knows the accounts.
#[derive(Debug)]
pub enum OutcomeStatus {}

/// The statuses that an outcome is shown with.
pub const STATUSES: [Account; 10] = [
    Account::Open,
    Account::Overdue,
    Account::Awaiting,
    Account::Reopened,
    Account::AchievedInTime,
    Account::AchievedLate,
    Account::Partial,
    Account::Missed,
    Account::Cancelled,
    Account::Waived,
];

impl PartialSchema for OutcomeStatus {
    fn schema() -> RefOr<Schema> {
        let description = "How an outcome stands. Without a verdict: open (in time), overdue (late), awaiting (done, \
                           the proof is to come), reopened (retried after a verdict). A verdict: achieved in time, \
                           achieved late, partial, missed, cancelled, waived (an operator settled it).";
        words(description, STATUSES.map(Account::as_str))
    }
}

impl ToSchema for OutcomeStatus {}

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
    /// The route that expects it; null for a job without an expectation.
    #[schema(required, example = "order.completed.v1:invoice.issue")]
    route: Option<String>,
    /// The tenant.
    #[schema(required)]
    tenant: Option<String>,
    /// The business key that people know.
    #[schema(required, example = "order-1042")]
    subject: Option<String>,
    /// The event that asked for it.
    #[schema(required)]
    event: Option<OutcomeEvent>,
    /// Its status.
    #[schema(value_type = OutcomeStatus)]
    status: &'static str,
    /// Whether it is open and will probably be late.
    at_risk: bool,
    /// By when it was expected.
    #[schema(required)]
    expected_by: Option<Moment>,
    /// When the verdict was given.
    #[schema(required)]
    decided_at: Option<Moment>,
    /// Whether it was achieved in time; null while that is open.
    #[schema(required)]
    in_time: Option<bool>,
    /// The proof that it awaits, whether it is in time or not; null where the work is not done.
    #[schema(required)]
    awaiting: Option<AwaitingBody>,
    /// Attempts so far.
    attempts: u64,
    /// For people, when it was achieved, or when only its proof is to come.
    #[schema(required)]
    summary: Option<String>,
    /// What can be checked.
    evidence: Vec<EvidenceBody>,
    /// Its parts, if it has any.
    parts: Vec<PartBody>,
    /// Why it was missed, or why the attempts so far failed.
    #[schema(required)]
    reason: Option<ReasonBody>,
    /// What its job waits for while it is parked, for people.
    #[schema(
        required,
        example = "the mail server accepted the mail, and no confirmation of its delivery has come"
    )]
    waits_for: Option<String>,
    /// For a waived one: the operator's reason.
    #[schema(required)]
    waived: Option<RemarkBody>,
    /// The operator that took charge of it.
    #[schema(required)]
    owner: Option<RemarkBody>,
    /// The latest note of an operator.
    #[schema(required)]
    note: Option<RemarkBody>,
    /// Whether the job was forgotten after its retention: of it only this is left, without evidence.
    forgotten: bool,
    /// The job's address.
    url: String,
}

/// The proof that an outcome awaits.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Awaiting)]
pub struct AwaitingBody {
    /// The key of the confirmation.
    #[schema(example = "order-1042 paid")]
    key: String,
    /// Since when.
    since: Moment,
    /// Until when it is awaited.
    #[schema(required)]
    until: Option<Moment>,
    /// What it means when none comes.
    #[schema(value_type = OnSilenceName)]
    on_silence: &'static str,
}

/// The schema of what silence means, from the type that knows it.
#[derive(Debug)]
pub enum OnSilenceName {}

impl PartialSchema for OnSilenceName {
    fn schema() -> RefOr<Schema> {
        let description = "What it means when no confirmation comes: the outcome counts as missed, until one comes \
                           after all; it counts as achieved; the handler runs again.";
        words(description, OnSilence::ALL.map(OnSilence::as_str))
    }
}

impl ToSchema for OnSilenceName {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("OnSilence")
    }
}

impl AwaitingBody {
    /// What the outcome of a job awaits.
    pub fn of(job: &Job, shown: &Shown) -> Option<Self> {
        job.awaiting().map(|awaiting| Self {
            key: shown.text(&awaiting.key()),
            since: Moment(awaiting.since),
            until: job.parked.as_ref().and_then(|parked| parked.until).map(Moment),
            on_silence: awaiting.on_silence.as_str(),
        })
    }
}

/// The event that asked for an outcome.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OutcomeEvent {
    /// The producer.
    #[schema(example = "/shops/berlin")]
    source: String,
    /// Unique within the source.
    #[schema(example = "5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42")]
    id: String,
    /// The versioned type; null for a forgotten job of a route that is not in the settings.
    #[serde(rename = "type")]
    #[schema(required, example = "order.completed.v1")]
    kind: Option<String>,
}

/// What an operator remarked.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Remark)]
pub struct RemarkBody {
    /// When.
    at: Moment,
    /// The remark: a reason, a note, or the name of an owner.
    text: String,
    /// The operator, as the caller said.
    #[schema(example = "ada")]
    by: String,
    /// Whether `by` was checked: false, because the API has no authentication.
    verified: bool,
}

/// A failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonBody {
    /// What kind of failure; null if a forgotten job does not say.
    #[schema(required, value_type = Option<Class>)]
    class: Option<FailureClass>,
    /// The message.
    #[schema(example = "550 no such mailbox: ada@lindqvist.example")]
    message: String,
}

impl OutcomeBody {
    /// The result of the job's handler. A value that is not an outcome with evidence is shown as
    /// text.
    pub fn of(job: &Job, links: &Links, shown: &Shown) -> Option<Self> {
        if let Some(outcome) = evidence::outcome(job) {
            let body = |evidence: &Evidence| EvidenceBody::new(evidence, job, links, shown);
            let evidence = outcome.evidence().iter().map(body).collect();
            let part = |part: &Part| PartBody {
                name: shown.text(&part.name),
                weight: part.weight,
                achieved: part.is_achieved(),
                reason: shown.optional(part.reason.as_ref()),
            };
            let parts = outcome.parts().iter().map(part).collect();
            return Some(Self { summary: shown.text(&outcome.summary), evidence, parts });
        }
        let returned = evidence::returned(job)?;
        Some(Self { summary: shown.text(&returned.to_string()), evidence: Vec::new(), parts: Vec::new() })
    }
}

impl EvidenceBody {
    fn new(evidence: &Evidence, job: &Job, links: &Links, shown: &Shown) -> Self {
        let href = StoredFile::of(evidence).map(|file| links.file(&job.id, &file.name));
        Self { kind: evidence.kind.clone(), facts: shown.facts(&evidence.facts), href }
    }
}

/// What is known about an outcome beside its job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The name of its route.
    pub route: Option<&'a str>,
    /// The event type of the route, by the settings.
    pub event_type: Option<&'a str>,
    /// Whether it is at risk.
    pub at_risk: bool,
}

impl OutcomeReport {
    /// How the expectation of a job stands at `now`, UTC ms.
    pub fn new(job: &Job, beside: Beside<'_>, now: i64, links: &Links, shown: &Shown) -> Self {
        let status = status(job, now);
        let (summary, evidence, parts) = OutcomeBody::of(job, links, shown)
            .map_or_else(Default::default, |outcome| {
                (Some(outcome.summary), outcome.evidence, outcome.parts)
            });
        let remark = |remark| RemarkBody::new(remark, shown);
        let failed = job.history.last().filter(|_| job.state != State::Succeeded);
        let waived = job.waived.as_ref().filter(|_| status == Account::Waived).map(remark);
        let parked = job.parked.as_ref().filter(|_| job.state == State::Parked);
        let ended = job.state.is_final().then_some(Moment(job.since));
        Self {
            job: job.id.to_string(),
            queue: job.queue.to_string(),
            kind: job.kind.clone(),
            route: beside.route.map(str::to_owned),
            tenant: job.tenant.clone(),
            subject: job.subject.clone(),
            event: EventRef::of(job).map(|event| OutcomeEvent {
                source: event.source,
                id: event.id,
                kind: Some(event.kind),
            }),
            status: status.as_str(),
            at_risk: beside.at_risk,
            expected_by: job.expected_by().map(Moment),
            decided_at: waived.as_ref().map(|remark| remark.at).or(ended),
            in_time: job.expectation.and_then(|_| in_time(status)),
            awaiting: AwaitingBody::of(job, shown),
            attempts: job.attempts,
            summary,
            evidence,
            parts,
            reason: failed
                .map(|last| ReasonBody { class: Some(last.class), message: shown.text(&last.message) }),
            waits_for: parked.map(|parked| shown.text(&parked.why)),
            waived,
            owner: job.owner.as_ref().map(remark),
            note: job.note.as_ref().map(remark),
            forgotten: false,
            url: links.job(&job.id),
        }
    }

    /// How the expectation of a forgotten job ended.
    pub fn of_row(
        queue: &QueueName,
        row: &VerdictRow,
        beside: Beside<'_>,
        links: &Links,
        shown: &Shown,
    ) -> Self {
        let achieved =
            matches!(row.account, Account::AchievedInTime | Account::AchievedLate | Account::Partial);
        let what = shown.optional(row.what.as_ref());
        let event = row.source.clone().zip(row.event.clone());
        Self {
            job: row.id.to_string(),
            queue: queue.to_string(),
            kind: row.kind.clone(),
            route: beside.route.map(str::to_owned),
            tenant: row.tenant.clone(),
            subject: row.subject.clone(),
            event: event.map(|(source, id)| OutcomeEvent {
                source,
                id,
                kind: beside.event_type.map(str::to_owned),
            }),
            status: row.account.as_str(),
            at_risk: false,
            expected_by: Some(Moment(row.due)),
            decided_at: Some(Moment(row.ended_at)),
            in_time: in_time(row.account),
            awaiting: None,
            attempts: row.attempts,
            summary: what.clone().filter(|_| achieved),
            evidence: Vec::new(),
            parts: Vec::new(),
            reason: what.as_deref().filter(|_| !achieved).map(ReasonBody::of_row),
            waits_for: None,
            waived: None,
            owner: None,
            note: None,
            forgotten: true,
            url: links.outcome(&row.id),
        }
    }
}

impl ReasonBody {
    /// The cause in a row: the class and the message.
    fn of_row(what: &str) -> Self {
        let known = |name: &str| FailureClass::ALL.into_iter().find(|class| class.as_str() == name);
        let (class, message) = match what.split_once(": ").and_then(|(name, rest)| Some((known(name)?, rest)))
        {
            Some((class, message)) => (Some(class), message),
            None => (None, what),
        };
        Self { class, message: message.to_owned() }
    }
}

impl RemarkBody {
    fn new(remark: &Remark, shown: &Shown) -> Self {
        let (text, by) = (shown.text(&remark.text), shown.text(&remark.by));
        Self { at: Moment(remark.at), text, by, verified: false }
    }
}

/// The status of a job's outcome at `now`. One that is open after its due time is overdue, also in
/// the moment before the watchdog says so.
fn status(job: &Job, now: i64) -> Account {
    match job.expectation {
        Some(expectation) => match expectation.account {
            Account::Open | Account::Awaiting if now > expectation.due => Account::Overdue,
            Account::Waiving => Account::Waived,
            account => account,
        },
        None if job.awaiting().is_some() => Account::Awaiting,
        None => match job.state {
            State::Succeeded => Account::AchievedInTime,
            State::Dead => Account::Missed,
            State::Cancelled => Account::Cancelled,
            State::Scheduled | State::Ready | State::Running | State::Parked => Account::Open,
        },
    }
}

/// Whether an outcome was achieved in time; `None` while that is open, or where it does not count.
const fn in_time(status: Account) -> Option<bool> {
    match status {
        Account::AchievedInTime => Some(true),
        Account::AchievedLate | Account::Partial | Account::Missed | Account::Overdue => Some(false),
        _ => None,
    }
}
