//! The bodies of answers. What is stored and what is shown change for different
//! reasons, so no stored type is serialised into an answer as it is.

mod attempt;
mod job;
mod outcome;
mod snapshot;
mod words;

pub use job::{JobBody, JobSummary};
pub use outcome::OutcomeReport;
pub use snapshot::Snapshot;
pub use words::{EventRef, JobState};
