//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | what it does |
//! |---|---|
//! | [`watch`] | moves what is due to overdue, whichever process runs |
//! | [`receipt`] | makes receipts from moves of expectations |
//! | [`relay`] | publishes receipts |

pub mod receipt;
pub mod relay;
mod watch;

pub use relay::Relay;
pub use watch::watch;
