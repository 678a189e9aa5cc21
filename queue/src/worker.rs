//! The apalis backend: claims jobs for one worker and settles what became of them.
//!
//! Independent loops, so that none starves another:
//! - [`claim`]: takes as many jobs as can start now, in one script call;
//! - [`settle`]: writes how attempts ended, in one script call;
//! - [`renew`]: extends the leases that are still held, cancels the lost ones;
//! - [`wake`]: listens for work while the worker is idle, and for cancelled jobs;
//! - [`shutdown`]: notices the stop, and hands back jobs that have not started;
//! - [`configure`]: follows the configuration that is stored with the queue;
//! - [`clocks`]: adds to the histograms of how long jobs took;
//! - [`presence`]: tells the queue that this worker is there;
//! - [`sweep`]: retention, parked jobs, the outbox, the scrubber.
//!
//! No loop gives up: while Redis is away, the loops back off and continue. A fenced write compares
//! token **and** worker, because a Redis that lost its last second in a crash may issue a token
//! again, but not to the same worker.

mod backend;
mod claim;
mod clocks;
mod configure;
mod core;
mod following;
mod handle;
mod handler;
mod in_force;
mod layer;
mod lease;
mod metrics;
mod options;
mod outbox;
mod presence;
pub mod protocol;
mod renew;
pub mod retention;
pub mod scrub;
pub mod set_back;
mod settle;
mod shutdown;
mod stop;
mod sweep;
mod turnover;
mod unpark;
mod wake;

pub use backend::RedisBackend;
pub use following::Following;
pub use handle::Worker;
pub use handler::{Handler, handler};
pub use layer::{SettleLayer, SettleService};
pub use lease::{Awaits, Detached, Lease, WriteError, Writes};
pub use options::WorkerOptions;
pub use protocol::MAX_OUTCOME;
pub use stop::{Await, Park, Release, Snooze, Stop, Undecodable};
