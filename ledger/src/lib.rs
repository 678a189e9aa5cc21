//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | what it does |
//! |---|---|
//! | [`alarms`] | says what is wrong, by cause, and whom to tell |
//! | [`mod@audit`] | compares the books with jobs and indexes all the time |
//! | [`keys`] | names the keys of the ledger's own slot |
//! | [`quarantine`] | lists what is in quarantine, and keeps the bridge's book |
//! | [`mod@watch`] | moves what is due to overdue, whichever process runs |
//! | [`list`] | lists outcomes of several queues |
//! | [`risk`] | tells which open outcomes will probably be late |
//! | [`mod@clocks`] | says how long outcomes take, and how old the oldest open one is |
//! | [`summary`] | adds up outcomes by route, kind, tenant and cause |
//! | [`objective`] | says how much of a route's budget of errors is left |
//! | [`overview`] | says where infrastructure and outcomes disagree |
//! | [`story`] | tells everything about a subject, in order of time |
//! | [`why`] | says what holds a job now, and when it will probably finish |
//! | [`span`] | writes lengths of time in words |
//! | [`receipt`] | makes receipts from moves of expectations |
//! | [`relay`] | publishes receipts |

pub mod alarms;
pub mod audit;
pub mod clocks;
pub mod keys;
pub mod list;
pub mod objective;
pub mod overview;
pub mod quarantine;
pub mod receipt;
pub mod relay;
pub mod risk;
pub mod span;
pub mod story;
pub mod summary;
pub mod tenants;
mod watch;
pub mod why;

pub use audit::audit;
pub use relay::Relay;
pub use watch::watch;
