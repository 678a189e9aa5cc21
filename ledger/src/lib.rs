//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | its one thing |
//! |---|---|
//! | [`keys`] | the keys of the ledger's own slot |
//! | [`quarantine`] | rows about the messages in quarantine, and the bridge's book |

pub mod keys;
pub mod quarantine;
