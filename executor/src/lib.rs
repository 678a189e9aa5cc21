//! What a handler author uses, and the service that runs handlers.
//!
//! | module | its one thing |
//! |---|---|
//! | [`job`] | a type for each kind of job |
//! | [`context`] | what a handler has at hand: steps, progress, its state |
//! | [`child`] | a job that a handler enqueues |
//! | [`setup`] | the jobs of a program, and what is set up before the first of them runs |
//! | [`host`] | what surrounds an attempt: the clock, the queues of other jobs |
//! | `registry` | which type does which kind of job |
//! | [`executor`] | the service: a worker per queue until it is stopped |
//! | `configuration` | whether the workers go by the configuration of their queues |
//! | `build` | which build of the program runs |
//! | `metrics` | what an executor counts |
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
pub mod host;
pub mod job;
mod metrics;
mod registry;
pub mod setup;

pub use child::Child;
pub use context::{Context, Waited};
pub use executor::{Error, Executor};
pub use job::Job;
pub use host::Host;
pub use registry::Twice;
pub use setup::{Jobs, Setup, SetupError};
pub use upshot_queue::Stop;
