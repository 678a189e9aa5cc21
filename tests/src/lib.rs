//! The harness of the end-to-end tests: real servers, real processes, and
//! waiting on signals.
//!
//! | module | its one thing |
//! |---|---|
//! | [`process`] | a real `upshot` process: start, signal, wait for a log line |
//! | [`stage`] | a test's own installation: settings, mail, store, jobs, leak check |
//! | [`raw`] | a producer that writes frames byte by byte |
//! | [`orders`] | events of a made-up shop |
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness fails a test by panicking")]

pub mod orders;
pub mod process;
pub mod raw;
pub mod stage;

pub use process::Process;
pub use raw::RawProducer;
pub use stage::{PATIENCE, Stage};
