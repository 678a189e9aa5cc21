//! A job: its enqueued form and its stored form.
//!
//! A job is one hash. Its fields:
//! | field | value |
//! |---|---|
//! | `job` | the head line `enqueued at\|class\|deadline\|due\|route\|version\|kind\|tenant\|limit keys` (times in ms; behind a deadline `e` for expires or `r` for runs late; due is by when its outcome is expected (13 digits), route is the number of its route, both zeros without an expectation; the version is that of the arguments); a list in JSON (subject, trace, labels) and a line feed; the arguments as they came |
//! | `state` | `state since` (ms), and behind it `token worker began` of its last attempt; `running token worker began claim` while it runs; absent while it is ready for the first time |
//! | `account` | the letter of the account that its expectation is in ([`Account`]), where it does not follow from the state: overdue, awaiting, reopened, partial, waived |
//! | `owner`, `note`, `waived` | the operator that took charge of it, the latest note of one, and why its expectation was waived ([`Remark`]), JSON |
//! | `released` | leases that were handed back unused |
//! | `spent` | ms that it ran, was parked, waited for another attempt, waited for a confirmation and was dead, as far as its times do not say it ([`clock`]); and the letter of the present stage |
//! | `cancel` | when the running job was asked to stop (ms) |
//! | `failed:<class>` | failures of a class so far |
//! | `first:<class>` | when the first of them was, ms; missing if an earlier version counted it |
//! | `step:<name>` | when a step was completed (ms), the digest of the arguments that its result was made from, and the result, JSON |
//! | `begun:<name>` | the same, without a result, of an effect that has begun and has no receipt |
//! | `dropped:<n>:<name>` | the same of a step whose result the edit `n` of the arguments set aside |
//! | `progress`, `marks` | [`Progress`], JSON; when it said so before, capped |
//! | `writes` | progress, step and log writes so far |
//! | `log` | lines that the handler wrote, capped |
//! | `history` | failed attempts and other changes, a JSON line each, capped |
//! | `need`, `why` | what it is parked for |
//! | `signal:<condition>` | how a wait for a condition ended: `S`, when (ms) and the payload of the signal; or `T` and when it ran out of time |
//! | `until:<condition>` | when a wait for a condition ends (ms) |
//! | `await` | what the outcome of its handler awaits, or awaited until it ended: `what silence means\|since when (ms)\|how long, for people\|condition` (`include/await.lua`) |
//! | `silent` | the condition whose silence ended it |
//! | `needed` | what it was parked for, where builds could not read its arguments |
//! | `successor` | of a dead job: the job that took its idempotency key |
//! | `group` | the cause of its last failure, until it ends otherwise than dead ([`crate::Group`]) |
//! | `operation` | the operation that set it going ([`crate::operations`]), until it fails again |
//! | `act` | the group and the act by which an operator retried it, until it ends |
//! | `outcome` | what the handler returned, JSON; absent for `null` |
//! | `duplicates` | enqueues that found this job |
//! | `args:<n>`, `edits` | arguments that were replaced, and how often |
//! | `repairs` | which of the edits put the arguments of an event ([`crate::client::reconcile`]): numbers between blanks |

mod awaits;
pub mod clock;
pub mod condition;
mod expectation;
pub(crate) mod flow;
pub mod id;
mod new;
mod sample;
pub mod state;
mod stored;
pub mod timeline;
pub(crate) mod trace;
pub(crate) mod truncate;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use awaits::Said;
pub use awaits::{Awaiting, OnSilence};
pub use expectation::{BadRemark, Expectation, MAX_REMARK, Remark};
pub(crate) use new::NO_DUE;
pub use new::{
    Deadline, Expect, Late, MAX_LABELS, MAX_LIMIT_KEYS, MAX_NAME, MAX_TIME, NewJob, Rejection, Scope, Unique,
};
pub use stored::Unreadable;
pub(crate) use stored::{Fields, numbers};

use crate::{
    job::{
        id::{JobId, QueueName},
        state::State,
    },
    policy::{
        failure::{FailedAttempt, FailureClass},
        priority::Priority,
    },
    redis::clock::utc_ms,
};

/// Hexadecimal digits of a digest of arguments.
const DIGEST: usize = 16;

/// The progress of a running job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// The step that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A report of progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// UTC ms.
    pub at: i64,
    /// 0 to 100.
    pub percent: u8,
    /// The step that ran.
    pub step: Option<String>,
}

/// A line that the handler wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// UTC ms.
    pub at: i64,
    /// The line.
    pub message: String,
}

/// A completed step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it was completed, UTC ms.
    pub at: i64,
    /// The digest of the arguments behind the result ([`Job::args_digest`]); `None` if a version
    /// without digests wrote it.
    pub args: Option<String>,
    /// Its result.
    pub result: serde_json::Value,
}

/// An effect that has begun and has no receipt: it may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The name.
    pub name: String,
    /// When it began, UTC ms.
    pub at: i64,
    /// The digest of the arguments from which it began.
    pub args: Option<String>,
}

/// A completed step whose result other arguments set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// The edit of the arguments: the number in [`Job::earlier_args`] of the arguments behind the
    /// result.
    pub edit: u32,
    /// The step.
    pub step: Step,
}

/// A change to a job other than a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// UTC ms.
    pub at: i64,
    /// What: `released`, `snoozed`, `parked`, `awaiting` (the work is done), `confirmed`, `refuted`,
    /// `signalled`, `waited` (a wait ran out of time),
    /// `contradicted` (another signal came), `cancelled`, `rescheduled`, `prioritised`, `retried`,
    /// `edited`, `repaired`, `waived`, `noted`, `owned` (an operator took charge of it).
    pub did: String,
    /// Details for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The operator that made it, as the caller says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The worker that made it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The attempt that ended with it, if any, counted from 1. A deferred attempt does not count,
    /// so the next attempt has the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// When that attempt began, UTC ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<i64>,
}

impl Change {
    /// The change with which an attempt of a running job ended.
    pub(crate) fn of_attempt(job: &Job, did: &str, note: Option<String>) -> Self {
        Self {
            at: utc_ms(),
            did: did.to_owned(),
            note,
            by: None,
            worker: job.worker.clone(),
            attempt: Some(job.attempts),
            began: job.began,
        }
    }

    /// A line of the history.
    pub(crate) fn line(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a parked job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The condition. The job continues when it is fulfilled.
    pub condition: String,
    /// For people.
    pub why: String,
    /// When the job stops waiting for a signal, UTC ms; `None` for a condition without an end.
    pub until: Option<i64>,
}

/// How a wait of a job for a condition ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When, UTC ms.
    pub at: i64,
    /// The payload of the signal; `None` where the wait ran out of time.
    pub payload: Option<serde_json::Value>,
}

/// Arguments that were replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The edit that replaced them, counted from 1.
    pub n: u32,
    /// The arguments before the edit.
    pub args: Bytes,
    /// Whether an event with the same identity replaced them, instead of an operator.
    pub by_event: bool,
}

/// A stored job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The kind of work.
    pub kind: String,
    /// The version of the arguments.
    pub version: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// The tenant.
    pub tenant: Option<String>,
    /// Its limit keys.
    pub limit_keys: Vec<String>,
    /// The business key that people know.
    pub subject: Option<String>,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
    /// Its origin.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: State,
    /// When it was enqueued, UTC ms.
    pub enqueued_at: i64,
    /// When it entered its state, UTC ms.
    pub since: i64,
    /// When it was last claimed, UTC ms.
    pub began: Option<i64>,
    /// What it keeps of the stages behind it.
    pub(crate) spent: clock::Spent,
    /// How its outcome stands, if one is expected.
    pub expectation: Option<Expectation>,
    /// The operator that took charge of it.
    pub owner: Option<Remark>,
    /// The latest note of an operator.
    pub note: Option<Remark>,
    /// Why an operator settled its expectation, if one did last.
    pub waived: Option<Remark>,
    /// By when it must start, UTC ms.
    pub deadline: Option<i64>,
    /// The number of the claim by which it runs; 0 while it does not run.
    pub(crate) claim: i64,
    /// Leases so far, which is the fencing token of the current one.
    pub token: u64,
    /// Attempts so far, the running one included; handed-back leases don't count.
    pub attempts: u64,
    /// The worker that holds the lease, or held it last.
    pub worker: Option<String>,
    /// When the running job was asked to stop, UTC ms.
    pub cancel_asked_at: Option<i64>,
    /// What it waits for while it is parked.
    pub parked: Option<Parked>,
    /// What its outcome awaits, or awaited until the job ended.
    pub awaits: Option<Awaiting>,
    /// Which builds could not read its arguments, as the condition that it was parked for.
    pub needed: Option<String>,
    /// Of a dead job: the job that took its idempotency key.
    pub successor: Option<JobId>,
    /// Failures so far, by class.
    pub failures: HashMap<FailureClass, u32>,
    /// When the first failure of each class was, UTC ms; missing if an earlier version counted it.
    pub first_failures: HashMap<FailureClass, i64>,
    /// Its progress.
    pub progress: Option<Progress>,
    /// Its reports of progress, oldest first, capped.
    pub marks: Vec<Mark>,
    /// How the job's waits for conditions ended, by the stored form of each condition.
    pub answers: BTreeMap<String, Answer>,
    /// Completed steps, in the order in which they were completed.
    pub steps: Vec<Step>,
    /// Effects that have begun and have no receipt, in the order in which they began.
    pub begun: Vec<Begun>,
    /// Steps whose results other arguments set aside, in the order in which they were completed.
    pub dropped: Vec<Dropped>,
    /// Lines that the handler wrote, oldest first, capped.
    pub log: Vec<LogLine>,
    /// Attempts that did not finish, oldest first, capped.
    pub history: Vec<FailedAttempt>,
    /// Other changes, oldest first, capped.
    pub changes: Vec<Change>,
    /// What the handler returned.
    pub outcome: Option<serde_json::Value>,
    /// The group of its last failure ([`crate::Group`]), if it is dead because of it or runs again.
    pub group: Option<String>,
    /// Enqueues that found this job.
    pub duplicates: u64,
    /// Changes with every visible change of the job; compared, not ordered.
    pub revision: String,
    /// The arguments.
    pub args: Bytes,
    /// Arguments that were replaced, oldest first.
    pub earlier_args: Vec<Edit>,
}

impl Job {
    /// The flow that it waits in: its tenant and limit keys, in stored form.
    pub fn flow(&self) -> String {
        flow::flow(self.tenant.as_deref(), &self.limit_keys)
    }

    /// The beginning of an effect that has no receipt, if it began with these arguments.
    pub fn begun(&self, name: &str) -> Option<&Begun> {
        let begun = self.begun.iter().find(|begun| begun.name == name)?;
        begun.args.as_ref().is_none_or(|digest| *digest == self.args_digest()).then_some(begun)
    }

    /// The result of a step that was completed with these arguments.
    pub fn step(&self, name: &str) -> Option<&serde_json::Value> {
        let step = self.steps.iter().find(|step| step.name == name)?;
        // A result without a digest is from an earlier version, and counts.
        let same = step.args.as_ref().is_none_or(|digest| *digest == self.args_digest());
        same.then_some(&step.result)
    }

    /// A digest of the version and the bytes of the arguments.
    pub fn args_digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.version.to_be_bytes());
        hash.update(&self.args);
        let mut digest = HEXLOWER.encode(&hash.finalize());
        digest.truncate(DIGEST);
        digest
    }

    /// How often the arguments were replaced.
    pub fn edits(&self) -> u32 {
        self.earlier_args.last().map_or(0, |edit| edit.n)
    }
}
