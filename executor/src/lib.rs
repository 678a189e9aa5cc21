//! Does the work: worker pools over the queues, and the handlers.
//!
//! | module | its one thing |
//! |---|---|
//! | `build` | which build of the program runs |
//! | [`executor`] | the service: a worker per queue until it is stopped |
//! | [`limits`] | limits of the settings, set at start |
//! | [`registry`] | which handler does which kind of job |
//! | [`handlers`] | the list of all handlers, one a file |
//! | [`steps`] | named parts of a job that are done once |
//! | [`stop`] | how an attempt ends that has no outcome |
//! | [`store`] | files: a local folder or S3 |
//! | [`mail`] | mail over SMTP |
//! | `metrics` | what an executor counts |
//! | [`press`] | documents, rendered on as many threads as there are cores |
//! | [`invoice`] | an order's invoice, computed |
//!
//! To add a handler: write a file in `handlers/` with an async function, name
//! its kind there, and add a line to [`handlers::all`]. [`registry`] says what it
//! may return.

mod build;
pub mod executor;
pub mod handlers;
pub mod invoice;
pub mod limits;
pub mod mail;
mod metrics;
pub mod press;
pub mod registry;
pub mod steps;
pub mod store;

pub use executor::{Error, Executor};
pub use registry::Registry;
pub use steps::Steps;
pub use upshot_queue::Stop;
