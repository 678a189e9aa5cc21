//! What two or more services must agree on.
//!
//! | module | its one thing |
//! |---|---|
//! | [`event`] | the CloudEvents envelope, decoded from a message or from HTTP |
//! | [`json`] | one way to read JSON, for the intake, contracts and handlers alike |
//! | [`email`] | mail addresses that contracts accept and mail can be sent to |
//! | [`contract`] | event schemas and what violates them |
//! | [`route`] | which event becomes which job, and under which id |
//! | [`intake`] | event in, jobs out, or the reason why not |
//! | [`known`] | which jobs of an event are there already |
//! | [`outcome`] | how an expectation ends, and the evidence for it |
//! | [`settings`] | layered settings; `settings/default.toml` is their documentation |
//! | [`amqp`] | exchange and queue names, connections, publishing with confirms |
//! | [`health`] | what a service waits for, for `/readyz` |
//! | [`said`] | errors and their causes in one line |
//! | [`secret`] | settings that no screen shows |
//! | [`visible`] | text from outside, written so that a person sees all of it |
//! | [`telemetry`] | logs and metrics |

pub mod amqp;
pub mod contract;
pub mod durability;
pub mod email;
pub mod event;
pub mod health;
pub mod intake;
pub mod json;
pub mod known;
pub mod outcome;
pub mod rejection;
pub mod route;
pub mod said;
pub mod secret;
pub mod settings;
pub mod telemetry;
pub mod visible;

pub use event::Event;
pub use health::Health;
pub use intake::Intake;
pub use outcome::{Evidence, Outcome};
pub use rejection::{Reason, Rejection};
pub use route::Route;
pub use settings::Settings;
