//! A durable job queue in Redis, and a backend for apalis' workers on top of it.
//!
//! The crate knows nothing of events, HTTP or invoices. Every transition of a
//! job is one Lua script, fenced by the lease's token; policy (how often and
//! when to retry, who may run what) is decided in Rust and passed in.
//!
//! # States
//! ```text
//!               (enqueue)
//!            delay │ │
//!          ┌───────┘ └───────┐
//!          ▼       due       ▼       claim
//!      scheduled ────────▶ ready ─────────────▶ running ───▶ succeeded
//!          ▲                ▲ ▲                  │ │ │ └─────▶ dead ──▶ ready, by hand (retry)
//!          │                │ └─release, expiry──┘ │ └───────▶ cancelled
//!          └────────────────┼─retry, snooze, expiry┘
//!                           │                      │ park
//!                           ├── need met ◀── parked ◀── kind paused, or unknown here ── ready
//!                running ◀──┴── claim by a worker that knows the kind
//! ```
//! A job that waits (scheduled, ready, parked) can also be cancelled, and ends
//! as dead, class `expired`, when its deadline passes. [`State::may_become`]
//! says the same as a function. A job is in exactly one state, and its id in
//! exactly one index, at any instant that another client can see (the index of
//! those that succeeded may also have ids that were forgotten by hand since). A
//! pause of the queue and limits touch no job: its jobs stay `ready`, and cost
//! nothing until they can run.
//!
//! # Who goes first
//! By class of priority ([`Shares`] keep the lower ones from starving); within a
//! class tenants take turns by weight, in virtual time; within a tenant (and set
//! of limit keys) the job with the least time to its deadline.
//!
//! # Map
//! | module | its one thing |
//! |---|---|
//! | [`keys`] | every Redis key and channel |
//! | [`job`] | what is enqueued, what is read back, and the stored form |
//! | [`queue`] | the client: enqueue, read, count |
//! | [`list`], [`timeline`] | lists with a cursor; a job's life as a list |
//! | [`admin`], [`dead`], [`dead_walk`] | what people do to jobs; dead jobs grouped by cause, and walked through |
//! | [`priority`], [`limit`], [`limits`] | classes and shares; limits, weights, pauses |
//! | [`parking`], [`need`], [`release`] | jobs that wait for something else than time; what handlers park them for; how they are let go |
//! | [`retention`] | how many jobs that ended are forgotten, and when |
//! | [`reconcile`] | events of the same identity with other data: same, repair or conflict |
//! | [`failure`], [`retry`] | why an attempt did not finish; what follows from it |
//! | [`protocol`] | what a worker says to Redis: claim, settle, renew, write |
//! | [`worker`] | the apalis backend; [`worker::Lease`] |
//! | [`outbox`] | every transition, for readers in groups |
//! | [`set_back`] | Redis' clock set back: what was written before counts anew |
//! | [`scrub`] | looks for jobs that are not where their state says |
//! | [`connect`] | connections that wait for Redis instead of failing |

pub mod admin;
mod clock;
pub mod connect;
pub mod dead;
pub mod dead_walk;
pub mod failure;
pub mod fingerprint;
mod flow;
pub mod id;
pub mod job;
pub mod keys;
mod layout;
pub mod limit;
pub mod limits;
pub mod list;
pub mod need;
pub mod outbox;
mod pace;
pub mod parking;
pub mod priority;
pub mod protocol;
pub mod queue;
pub mod reconcile;
pub mod release;
pub mod retention;
pub mod retry;
mod scripts;
pub mod scrub;
pub mod set_back;
mod shorten;
pub mod state;
pub mod timeline;
mod trace;
mod unique;
pub mod worker;

pub use admin::Changed;
pub use connect::{Connection, Connector, RedisOptions};
pub use dead::{DeadFilter, Group};
pub use dead_walk::{DeadCursor, DeadPart};
pub use failure::{Failure, FailureClass, Park, Release, Snooze, Undecodable};
pub use id::{IdError, JobId, QueueName};
pub use job::{Deadline, Dropped, Expect, Job, Late, NewJob, Progress, Rejection, Scope, Step, Unique};
pub use limit::{BadLimit, Limit, LimitKey, Rate, Weight};
pub use limits::{LimitUse, Limits, LimitsInUse};
pub use list::{BadCursor, Cursor, Filter, Page, Searched};
pub use need::{BadNeed, Need};
pub use outbox::{Outbox, OutboxGroup, OutboxReader};
pub use parking::{Kinds, NeedCursor};
pub use priority::{Priority, Shares};
pub use queue::{Counts, Error, Queue, Verdict};
pub use reconcile::{Conflict, Reconciled};
pub use release::{Released, Releasing};
pub use retention::Trimmed;
pub use retry::{Crashes, Decision, Earlier, RetryPolicy, Wait};
pub use scripts::script_name;
pub use scrub::Scrubber;
pub use state::State;
pub use worker::{Lease, RedisBackend, WorkerOptions};
