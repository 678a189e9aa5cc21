//! What two or more services must agree on, without input or output.
//!
//! | module | its one thing |
//! |---|---|
//! | [`event`] | the CloudEvents envelope, decoded from a message or from HTTP |
//! | [`json`] | one way to read JSON, for the intake, contracts and handlers alike |
//! | [`email`] | mail addresses that contracts accept and mail can be sent to |
//! | [`duration`] | durations as settings and bodies write them: `30s` |
//! | [`contract`] | event schemas and what violates them |
//! | [`route`] | which event becomes which job, and under which id |
//! | [`intake`] | event in, jobs out, or the reason why not |
//! | [`outcome`] | how an expectation ends, and the evidence for it |
//! | [`said`] | errors and their causes in one line |
//! | [`visible`] | text from outside, written so that a person sees all of it |

pub mod contract;
pub mod duration;
pub mod email;
pub mod event;
pub mod intake;
pub mod json;
pub mod outcome;
pub mod rejection;
pub mod route;
pub mod said;
pub mod visible;

pub use event::Event;
pub use intake::Intake;
pub use outcome::{Evidence, Outcome};
pub use rejection::{Reason, Rejection};
pub use route::Route;
