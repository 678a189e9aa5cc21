//! A job's life as a list, put together from what is stored anyway.
//!
//! Nothing is written for it on the way that most jobs go: the enqueue, the last
//! claim and the end have their times in the job; only what is unusual (a
//! failed attempt, a release, something done by hand) adds a line.

use serde::Serialize;

use crate::{failure::FailureClass, job::Job, state::State};

/// One thing that happened.
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
    /// The job came into the queue.
    Enqueued,
    /// A worker took it.
    Claimed {
        /// Which attempt, counted from 1.
        attempt: u64,
        /// Who.
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
    },
    /// It said how far it is.
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
    /// Something else was done to it.
    Changed {
        /// See [`crate::job::Change`].
        did: String,
        /// Details for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It ended.
    Finished {
        /// How.
        state: State,
    },
}

/// The life of a job, oldest first. Capped lists (marks, log, history) may miss
/// their oldest entries.
pub fn timeline(job: &Job) -> Vec<Entry> {
    let entry = |at, what| Entry { at, what };
    let mut entries = vec![entry(job.enqueued_at, What::Enqueued)];
    for failed in &job.history {
        if let Some(began) = failed.began {
            entries
                .push(entry(began, What::Claimed { attempt: failed.attempt, worker: failed.worker.clone() }));
        }
        let (attempt, class, message) = (failed.attempt, failed.class, failed.message.clone());
        entries.push(entry(failed.at, What::Failed { attempt, class, message }));
    }
    for change in &job.changes {
        entries.push(entry(change.at, What::Changed { did: change.did.clone(), note: change.note.clone() }));
    }
    let told = |began: i64| job.history.iter().any(|failed| failed.began == Some(began));
    if let Some(began) = job.began.filter(|began| !told(*began)) {
        entries.push(entry(began, What::Claimed { attempt: job.attempts, worker: job.worker.clone() }));
    }
    for mark in &job.marks {
        entries.push(entry(mark.at, What::Progress { percent: mark.percent, step: mark.step.clone() }));
    }
    for step in &job.steps {
        entries.push(entry(step.at, What::Step { name: step.name.clone() }));
    }
    for line in &job.log {
        entries.push(entry(line.at, What::Log { message: line.message.clone() }));
    }
    if job.state.is_final() {
        entries.push(entry(job.since, What::Finished { state: job.state }));
    }
    // Things of the same millisecond stay in the order of cause and effect.
    entries.sort_by_key(|entry| (entry.at, rank(&entry.what)));
    entries
}

fn rank(what: &What) -> u8 {
    match what {
        What::Enqueued => 0,
        What::Claimed { .. } => 1,
        What::Progress { .. } => 2,
        What::Step { .. } | What::Log { .. } => 3,
        What::Failed { .. } | What::Changed { .. } => 4,
        What::Finished { .. } => 5,
    }
}
