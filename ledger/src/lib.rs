//! The ledger: what became of every accepted event.
//!
//! Each job that a route makes opens an expectation. The scripts of the queue move it between the
//! accounts of its route ([`upshot_queue::Account`]). This crate does the rest.
//!
//! | module | its one thing |
//! |---|---|
//! | [`list`] | lists outcomes of several queues |
//! | [`risk`] | which open outcomes will probably be late |
//! | [`summary`] | figures of outcomes by route, kind, tenant and cause |
//! | [`overview`] | where infrastructure and outcomes disagree |
//! | [`story`] | everything about a subject, in order of time |
//! | [`span`] | lengths of time in words |

pub mod list;
pub mod overview;
pub mod risk;
pub mod span;
pub mod story;
pub mod summary;
