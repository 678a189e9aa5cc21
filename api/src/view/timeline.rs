//! The view of a job's life.

use serde::Serialize;
use upshot_queue::{
    FailureClass, State,
    timeline::{Entry, What},
};
use utoipa::ToSchema;

use super::words::{Class, JobState};
use crate::{moment::Moment, shown::Shown};

/// One entry of a job's life. Fields that do not apply are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub struct EntryBody {
    /// When.
    at: Moment,
    /// What.
    what: Happened,
    #[serde(flatten)]
    details: Details,
}

/// What happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TimelineWhat)]
pub enum Happened {
    /// The job was enqueued.
    Enqueued,
    /// A worker claimed it: `attempt`, `worker`.
    Claimed,
    /// The handler reported progress: `percent`, `step`.
    Progress,
    /// A step was completed: `step`.
    Step,
    /// The handler wrote a line: `message`.
    Log,
    /// An attempt failed: `attempt` (0 for none), `class`, `message`.
    Failed,
    /// Another action: `did`, `message`.
    Changed,
    /// The job ended: `state`.
    Finished,
}

/// The fields of an entry.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = TimelineDetails)]
pub struct Details {
    /// Which attempt, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    /// The worker that claimed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    percent: Option<u8>,
    /// The step that ran or was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// What kind of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Class>)]
    class: Option<FailureClass>,
    /// `released`, `snoozed`, `parked`, `cancelled`, `rescheduled`,
    /// `prioritised`, `retried`, `edited`, or `repaired` by an event of the same identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The final state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<JobState>)]
    state: Option<State>,
}

impl EntryBody {
    /// The body of an entry.
    pub fn new(entry: &Entry, shown: &Shown) -> Self {
        let none = Details::default();
        let (what, details) = match entry.what.clone() {
            What::Enqueued => (Happened::Enqueued, none),
            What::Claimed { attempt, worker } => {
                (Happened::Claimed, Details { attempt: Some(attempt), worker, ..none })
            }
            What::Progress { percent, step } => {
                (Happened::Progress, Details { percent: Some(percent), step, ..none })
            }
            What::Step { name } => (Happened::Step, Details { step: Some(name), ..none }),
            What::Log { message } => (Happened::Log, Details { message: Some(shown.text(&message)), ..none }),
            What::Failed { attempt, class, message } => {
                let (attempt, class, message) = (Some(attempt), Some(class), Some(shown.text(&message)));
                (Happened::Failed, Details { attempt, class, message, ..none })
            }
            What::Changed { did, note, .. } => (
                Happened::Changed,
                Details { did: Some(did), message: shown.optional(note.as_ref()), ..none },
            ),
            What::Finished { state } => (Happened::Finished, Details { state: Some(state), ..none }),
        };
        Self { at: Moment(entry.at), what, details }
    }
}
