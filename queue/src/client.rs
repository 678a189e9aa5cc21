//! What a program that enqueues, reads and changes jobs calls.

pub mod admin;
pub mod dead;
pub mod dead_walk;
pub mod limits;
pub mod list;
pub mod outbox;
pub mod parking;
pub mod queue;
pub mod reconcile;
pub mod release;
mod unique;
