//! A durable job queue in Redis, and a backend for apalis' workers on top of it.
//!
//! The crate knows nothing of events, HTTP or invoices. Every transition of a
//! job is one Lua script, fenced by the lease's token; policy (how often and
//! when to retry) is decided in Rust and passed in.
//!
//! # States
//! ```text
//!             delay                 due                claim
//! (enqueue) ───────▶ scheduled ──────────▶ ready ──────────────▶ running
//!     └────────────────────────────────────▶▲ ▲                    │ │ │
//!                     ▲                       │   release, expiry    │ │ │
//!                     │                       └──────────────────────┘ │ │
//!                     └──────────────── retry ─────────────────────────┘ │
//!                                      succeeded, dead ◀─────────────────┘
//!                                                   └──▶ ready, by hand (retry)
//! ```
//! A job is in exactly one state, and its id in exactly one index, at any
//! instant that another client can see.
//!
//! # Map
//! | module | its one thing |
//! |---|---|
//! | [`keys`] | every Redis key and channel |
//! | [`job`] | what is enqueued, what is read back, and the stored form |
//! | [`queue`] | the client: enqueue, read, list, count |
//! | [`failure`], [`retry`] | why an attempt did not finish; what follows from it |
//! | [`worker`] | the apalis backend: claim, complete, renew; [`worker::Lease`] |
//! | [`connect`] | connections that wait for Redis instead of failing |

pub mod connect;
pub mod failure;
pub mod id;
pub mod job;
pub mod keys;
pub mod list;
pub mod queue;
pub mod retry;
mod scripts;
pub mod state;
mod trace;
pub mod worker;

pub use connect::{Connection, Connector, RedisOptions};
pub use failure::{Failure, FailureClass};
pub use id::{IdError, JobId, QueueName};
pub use job::{Job, NewJob, Progress, Step};
pub use list::{Cursor, Filter, Page};
pub use queue::{Error, Queue, Retried, Verdict};
pub use retry::{Decision, RetryPolicy};
pub use state::State;
pub use worker::{Lease, RedisBackend, WorkerOptions};
