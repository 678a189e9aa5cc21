//! Types and rules that two or more services share, without IO.
//!
//! | module | its one thing |
//! |---|---|
//! | [`event`] | the CloudEvents envelope, decoded from a message or from HTTP |
//! | [`json`] | reads JSON one way for intake, contracts and handlers |
//! | [`email`] | mail addresses that contracts accept and mail can be sent to |
//! | [`duration`] | durations as settings and bodies write them: `30s` |
//! | [`confirmation`] | the proof of an outcome that awaits it |
//! | [`contract`] | event schemas and their violations |
//! | [`route`] | which event becomes which job, and under which id |
//! | [`intake`] | turns an event into jobs or a rejection |
//! | [`objective`] | the share of outcomes that should be achieved in time |
//! | [`outcome`] | how an expectation ends, and the evidence for it |
//! | [`receipt`] | the events that tell producers what became of their events |
//! | [`redact`] | hides personal data in what people read |
//! | [`said`] | errors and their causes in one line |
//! | [`visible`] | text from outside, written so that a person sees all of it |

pub mod confirmation;
pub mod contract;
pub mod duration;
pub mod email;
pub mod event;
pub mod intake;
pub mod json;
pub mod objective;
pub mod outcome;
pub mod receipt;
pub mod redact;
pub mod rejection;
pub mod route;
pub mod said;
pub mod visible;

pub use confirmation::Confirmation;
pub use event::Event;
pub use intake::Intake;
pub use objective::Objective;
pub use outcome::{Confirm, Evidence, OnSilence, Outcome, Part, PartsRule};
pub use receipt::{Receipt, Verdict};
pub use rejection::{Reason, Rejection};
pub use route::Route;
