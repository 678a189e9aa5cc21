//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | what it does |
//! |---|---|
//! | [`mod@audit`] | compares the books with jobs and indexes all the time |
//! | [`keys`] | names the keys of the ledger's own slot |
//! | [`quarantine`] | lists what is in quarantine, and keeps the bridge's book |
//! | [`mod@watch`] | moves what is due to overdue, whichever process runs |

pub mod audit;
pub mod keys;
pub mod quarantine;
mod watch;

pub use audit::audit;
pub use watch::watch;
