//! The handles of programs that enqueue, read and change jobs.
//!
//! A [`Client`] enqueues and reads, an [`Operator`] changes.

pub mod audit;
pub mod books;
pub mod change;
pub mod configuration;
pub mod dead;
mod enqueue;
mod erase;
pub(crate) mod handle;
pub mod hold;
pub mod limits;
pub mod list;
pub mod operations;
pub(crate) mod operator;
pub mod outbox;
pub mod outcomes;
pub mod parking;
mod read;
pub mod reconcile;
pub mod release;
mod remarks;
pub mod schedules;
pub mod signals;
pub mod standing;
mod unique;
pub mod watch;
pub mod workers;

pub use enqueue::EnqueueResult;
pub use erase::Erased;
pub use handle::{Client, MAX_PAYLOAD};
pub use operator::Operator;
pub use read::{Counts, SignalCounts};
