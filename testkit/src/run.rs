//! What an attempt of a trial came to.

use serde_json::Value;
use upshot_executor::Stop;
use upshot_queue::{NewJob, Progress, QueueName};
use upshot_shared::Outcome;

/// How an attempt ended.
#[derive(Debug)]
pub enum Ended {
    /// The handler returned an outcome.
    Achieved(Outcome),
    /// The handler said why there is none.
    Stopped(Stop),
    /// The process died, as the test asked.
    Crashed,
    /// The handler panicked.
    Panicked(String),
}

/// A job that a handler enqueued.
#[derive(Clone, Debug)]
pub struct Enqueued {
    /// Where.
    pub queue: QueueName,
    /// The job.
    pub job: NewJob,
}

/// What an attempt came to, and what it wrote.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ended: Ended,
    /// The job's completed steps and their results, in order; also those of earlier attempts.
    pub steps: Vec<(String, Value)>,
    /// Effects that have begun and have no receipt.
    pub begun: Vec<String>,
    /// The steps that this attempt completed.
    pub ran: Vec<String>,
    /// What this attempt said of its progress.
    pub progress: Vec<Progress>,
    /// The lines that this attempt wrote into the log.
    pub log: Vec<String>,
    /// The jobs that all attempts enqueued, each once.
    pub enqueued: Vec<Enqueued>,
}

impl Run {
    /// The outcome.
    ///
    /// # Panics
    /// When there is none.
    pub fn outcome(&self) -> &Outcome {
        match &self.ended {
            Ended::Achieved(outcome) => outcome,
            other => panic!("the attempt has no outcome: {other:?}"),
        }
    }

    /// Why there is no outcome.
    ///
    /// # Panics
    /// When there is one, or the attempt crashed.
    pub fn stop(&self) -> &Stop {
        match &self.ended {
            Ended::Stopped(stop) => stop,
            other => panic!("the handler gave no reason: {other:?}"),
        }
    }

    /// Whether the attempt crashed, as the test asked.
    pub fn crashed(&self) -> bool {
        matches!(self.ended, Ended::Crashed)
    }

    /// The result of a completed step.
    ///
    /// # Panics
    /// When the job has not completed it.
    pub fn step(&self, name: &str) -> &Value {
        let found = self.steps.iter().find(|(step, _)| step == name);
        found.map(|(_, result)| result).unwrap_or_else(|| {
            let known: Vec<&str> = self.steps.iter().map(|(step, _)| step.as_str()).collect();
            panic!("the job has not completed step `{name}`; it completed {known:?}")
        })
    }
}
