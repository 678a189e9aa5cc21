//! The bodies of answers. What is stored and what is shown change for different
//! reasons, so no stored type is serialised into an answer as it is.

mod job;
mod outcome;
mod words;

pub use job::{JobBody, JobSummary, Snapshot};
pub use outcome::OutcomeReport;
pub use words::{EventRef, JobState};
