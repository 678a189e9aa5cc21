//! The bodies of answers. Stored data and answers change for different reasons, so no stored type
//! is serialised into an answer.

mod access;
mod act;
mod attempt;
mod clock;
mod figures;
mod group;
mod job;
mod operation;
mod outcome;
mod quarantine;
mod queue;
mod rabbitmq;
mod schedule;
mod snapshot;
mod story;
mod timeline;
mod why;
mod words;

pub use access::{Me, RightName, RoleName, TokenBody};
pub use act::{ActBody, ActResult};
pub use clock::TimesBody;
pub use figures::{CauseBody, FiguresBody};
pub use group::{GroupBody, HistoryBody};
pub use job::{JobBody, JobSummary, StepBody};
pub use operation::{OperationBody, OperationState, RefusalBody};
pub use outcome::{Beside, OutcomeReport, OutcomeStatus, STATUSES};
pub use quarantine::{QuarantineSummary, QuarantinedBody};
pub use queue::QueueBody;
pub use rabbitmq::RabbitmqBody;
pub use schedule::{Beside as BesideSchedules, ScheduleBody, ScheduleDefinition};
pub use snapshot::Snapshot;
pub use story::StoryEntry;
pub use why::{Of, WhyBody};
pub use words::{Binary, Class, CloudEvent, EventRef, JobState, PriorityClass, ProgressEvent, StreamEvent};
