//! Types and rules that two or more services share, without IO.
//!
//! | module | its one thing |
//! |---|---|
//! | [`event`] | the CloudEvents envelope, decoded from a message or from HTTP |
//! | [`json`] | reads JSON one way for intake, contracts and handlers |
//! | [`email`] | mail addresses that contracts accept and mail can be sent to |
//! | [`duration`] | durations as settings and bodies write them: `30s` |
//! | [`contract`] | event schemas and their violations |
//! | [`route`] | which event becomes which job, and under which id |
//! | [`confirmation`] | proof from outside of what became of work, and the events that are such proof |
//! | [`expectation`] | which event must be followed by which other event in time |
//! | [`intake`] | turns an event into jobs and confirmations, or a rejection |
//! | [`objective`] | the share of outcomes that should be achieved in time |
//! | [`outcome`] | how an expectation ends, and the evidence for it |
//! | [`receipt`] | the events that tell producers what became of their events |
//! | [`redact`] | hides personal data in what people read |
//! | [`schedule`] | jobs at due times, without an event |
//! | [`said`] | errors and their causes in one line |
//! | [`visible`] | text from outside, written so that a person sees all of it |

pub mod confirmation;
pub mod contract;
pub mod duration;
pub mod email;
pub mod event;
pub mod expectation;
pub mod intake;
pub mod json;
pub mod objective;
pub mod outcome;
pub mod receipt;
pub mod redact;
pub mod rejection;
pub mod route;
pub mod said;
pub mod schedule;
pub mod visible;

pub use confirmation::{Confirmation, Proof};
pub use event::Event;
pub use expectation::Expectation;
pub use intake::Intake;
pub use objective::Objective;
pub use outcome::{Confirm, Evidence, OnSilence, Outcome, Part, PartsRule};
pub use receipt::{Receipt, Verdict};
pub use rejection::{Reason, Rejection};
pub use route::Route;
pub use schedule::Schedule;
