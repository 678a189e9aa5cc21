//! What a handler author uses, and the service that runs handlers.
//!
//! | module | its one thing |
//! |---|---|
//! | [`job`] | a type for each kind of job |
//! | [`context`] | what a handler can use: steps, effects, progress, its state |
//! | [`child`] | a job that a handler enqueues |
//! | [`setup`] | the jobs of a program, and their states |
//! | [`host`] | the surroundings of an attempt: the clock, the queues of other jobs |
//! | `expect` | the built-in job that waits for another event |
//! | `schedules` | enqueues jobs at the due times of schedules |
//! | `registry` | handlers by kind of job |
//! | [`executor`] | the service: a worker for each queue until the stop |
//! | `configuration` | whether the workers follow the configuration of their queues |
//! | `build` | identifies the running build of the program |
//! | `metrics` | the metrics of an executor |
//!
//! # What is stable
//! [`Job`], [`Context`], [`Child`], [`Stop`] and its parts, `Outcome` and `Evidence` keep their
//! meaning within 0.x: a change that breaks a handler is named in the changelog with its remedy.
//! [`Setup`] and [`Host`] may still change.

mod build;
pub mod child;
mod configuration;
pub mod context;
pub mod executor;
mod expect;
pub mod host;
pub mod job;
mod metrics;
mod registry;
mod schedules;
pub mod setup;

pub use child::Child;
pub use context::{Context, Unclear, Waited};
pub use executor::{Error, Executor};
pub use host::Host;
pub use job::Job;
pub use registry::Twice;
pub use setup::{Jobs, Setup, SetupError};
pub use upshot_queue::Stop;
