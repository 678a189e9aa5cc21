//! Tells everything about a subject in order of time, so that a reader needs nothing else.
//!
//! | module | its one thing |
//! |---|---|
//! | [`tell`] | the life of one job, from what the job keeps |
//! | [`words`] | the sentences |
//!
//! A verdict that was taken back is not stored apart. It follows from the history: an operator can
//! only run a dead or parked job again, so a failure that a retry follows was a missed outcome.

mod tell;
mod words;

use std::collections::BTreeMap;

use upshot_queue::{Account, Job, JobId, QueueName, VerdictRow};

/// What is known about one job or forgotten job.
#[derive(Clone, Debug)]
pub enum Known {
    /// A job.
    Job {
        /// The job.
        job: Box<Job>,
        /// The name of its route, if it has one.
        route: Option<String>,
        /// When it becomes ready, UTC ms; for a scheduled job.
        starts: Option<i64>,
    },
    /// What is left of a forgotten job.
    Row {
        /// Its queue.
        queue: QueueName,
        /// The row.
        row: Box<VerdictRow>,
        /// The name of its route.
        route: Option<String>,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// An event was accepted and became a job.
    Accepted,
    /// The job waited.
    Wait,
    /// An attempt began.
    Attempt,
    /// A step was completed.
    Step,
    /// The handler wrote a line.
    Log,
    /// An attempt failed.
    Failed,
    /// An operator, a signal or the handler changed the job.
    Change,
    /// Evidence: a file, a mail.
    Evidence,
    /// The expectation moved: overdue, reopened, or a verdict.
    Verdict,
    /// The job ended.
    Ended,
    /// How long it took, by stage.
    Clock,
    /// How the job stands now.
    Now,
}

/// One entry of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, UTC ms.
    pub at: i64,
    /// Until when, UTC ms; for a wait that has ended.
    pub until: Option<i64>,
    /// The job.
    pub job: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The kind of work.
    pub kind: String,
    /// What the entry is.
    pub sort: Sort,
    /// The whole entry in words.
    pub text: String,
    /// For a verdict: the account that the expectation is in from then on.
    pub account: Option<Account>,
    /// For evidence: its facts.
    pub facts: BTreeMap<String, String>,
    /// For a change: the operator that made it, as the caller said.
    pub by: Option<String>,
}

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Wait,
        Self::Attempt,
        Self::Step,
        Self::Log,
        Self::Failed,
        Self::Change,
        Self::Evidence,
        Self::Verdict,
        Self::Ended,
        Self::Clock,
        Self::Now,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Wait => "wait",
            Self::Attempt => "attempt",
            Self::Step => "step",
            Self::Log => "log",
            Self::Failed => "failed",
            Self::Change => "change",
            Self::Evidence => "evidence",
            Self::Verdict => "verdict",
            Self::Ended => "ended",
            Self::Clock => "clock",
            Self::Now => "now",
        }
    }
}

impl Entry {
    /// The type of the receipt that tells the producer of it, for a verdict.
    pub fn receipt(&self) -> Option<&'static str> {
        match self.account? {
            Account::Overdue => Some("upshot.outcome.overdue.v1"),
            Account::Reopened => Some("upshot.outcome.reopened.v1"),
            Account::AchievedInTime | Account::AchievedLate => Some("upshot.outcome.achieved.v1"),
            Account::Partial => Some("upshot.outcome.partial.v1"),
            Account::Missed => Some("upshot.outcome.missed.v1"),
            Account::Cancelled => Some("upshot.outcome.cancelled.v1"),
            Account::Waiving | Account::Waived => Some("upshot.outcome.waived.v1"),
            Account::Received
            | Account::Duplicate
            | Account::Open
            | Account::Awaiting
            | Account::Forgotten => None,
        }
    }
}

/// The story of what is known about a subject at `now` (UTC ms), oldest first.
pub fn story(known: &[Known], now: i64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = known.iter().flat_map(|known| tell::life(known, now)).collect();
    // A stable sort keeps the entries of a job in the order of cause and effect.
    entries.sort_by_key(|entry| entry.at);
    entries
}
