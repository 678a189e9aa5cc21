//! Assembles a job's life as a list from stored data.
//!
//! Most jobs write nothing for it, because the enqueue, the last claim and the end have their times
//! in the job. Only unusual entries (a failed attempt, a release, an operator's change) add a line.

use serde::Serialize;

use crate::{
    job::{Job, state::State},
    policy::failure::FailureClass,
};

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// UTC ms.
    pub at: i64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The job was enqueued.
    Enqueued,
    /// A worker claimed the job.
    Claimed {
        /// Which attempt, counted from 1.
        attempt: u64,
        /// The worker.
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
    },
    /// The handler reported progress.
    Progress {
        /// 0 to 100.
        percent: u8,
        /// The step that ran.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    /// A step was completed.
    Step {
        /// Its name.
        name: String,
    },
    /// The handler wrote a line.
    Log {
        /// The line.
        message: String,
    },
    /// An attempt failed.
    Failed {
        /// Which attempt; 0 for none, when the deadline passed before one.
        attempt: u64,
        /// The class.
        class: FailureClass,
        /// What happened.
        message: String,
    },
    /// Another change.
    Changed {
        /// See [`crate::job::Change`].
        did: String,
        /// Details for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// The operator that made it, as the caller says.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The job ended.
    Finished {
        /// The final state.
        state: State,
    },
}

/// The life of a job, oldest first. Capped lists (marks, log, history) may miss
/// their oldest entries.
pub fn timeline(job: &Job) -> Vec<Entry> {
    let entry = |at, what| Entry { at, what };
    let claimed =
        |at, attempt, worker: &Option<String>| entry(at, What::Claimed { attempt, worker: worker.clone() });
    let mut within = within_attempts(job).into_iter().peekable();
    let mut entries = vec![entry(job.enqueued_at, What::Enqueued)];
    // Ends of attempts and other changes, each with the claim that it ended.
    let failures = job.history.iter().map(|failed| {
        let (attempt, class, message) = (failed.attempt, failed.class, failed.message.clone());
        let began = failed.began.map(|began| claimed(began, failed.attempt, &failed.worker));
        (began, entry(failed.at, What::Failed { attempt, class, message }))
    });
    let changes = job.changes.iter().map(|change| {
        let began = change.began.zip(change.attempt);
        let began = began.map(|(began, attempt)| claimed(began, attempt, &change.worker));
        let (did, note, by) = (change.did.clone(), change.note.clone(), change.by.clone());
        (began, entry(change.at, What::Changed { did, note, by }))
    });
    let mut ends: Vec<(Option<Entry>, Entry)> = failures.chain(changes).collect();
    ends.sort_by_key(|(_, end)| end.at);
    // An earlier attempt may have begun in the same millisecond, and failed.
    let is_of_earlier =
        |end: &Entry| matches!(end.what, What::Failed { attempt, .. } if attempt < job.attempts);
    let last = job.began.filter(|began| {
        let ended = |(claim, end): &(Option<Entry>, Entry)| {
            claim.as_ref().is_some_and(|claim| claim.at == *began) && !is_of_earlier(end)
        };
        !ends.iter().any(ended)
    });
    for (claim, end) in ends {
        entries.extend(claim);
        while let Some(inner) = within.next_if(|inner| inner.at <= end.at) {
            entries.push(inner);
        }
        entries.push(end);
    }
    entries.extend(last.map(|began| claimed(began, job.attempts, &job.worker)));
    entries.extend(within);
    if job.state.is_final() {
        entries.push(entry(job.since, What::Finished { state: job.state }));
    }
    // A stable sort keeps entries of the same millisecond in the order of cause and effect.
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// Entries that running attempts wrote, oldest first.
fn within_attempts(job: &Job) -> Vec<Entry> {
    let marks = job.marks.iter().map(|mark| Entry {
        at: mark.at,
        what: What::Progress { percent: mark.percent, step: mark.step.clone() },
    });
    let steps =
        job.steps.iter().map(|step| Entry { at: step.at, what: What::Step { name: step.name.clone() } });
    let lines =
        job.log.iter().map(|line| Entry { at: line.at, what: What::Log { message: line.message.clone() } });
    let mut entries: Vec<Entry> = marks.chain(steps).chain(lines).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}
