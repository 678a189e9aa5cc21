//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | its one thing |
//! |---|---|
//! | [`list`] | lists outcomes of several queues |
//! | [`risk`] | which open outcomes will probably be late |

pub mod list;
pub mod risk;
