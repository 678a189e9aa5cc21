//! A durable job queue in Redis, and a backend for apalis' workers on top of it.
//!
//! The crate knows nothing of events, HTTP or invoices. Every transition of a job is one Lua
//! script, fenced by the lease's token; Rust decides policy (how often and when to retry, which
//! worker runs a job) and passes it in.
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
//!                           ├── condition met ◀── parked ◀── kind paused, or unknown here ── ready
//!                running ◀──┴── claim by a worker that knows the kind
//! ```
//! A job that waits (scheduled, ready, parked) can also be cancelled, and ends as dead, class
//! `expired`, when its deadline passes. [`State::may_become`] says the same as a function. A job is
//! in exactly one state, and its id in exactly one index, at any instant that another client can
//! see (the index of succeeded jobs may also have ids that an operator deleted). A pause of the
//! queue and limits touch no job: jobs stay `ready`, and cost nothing until they can run.
//!
//! # Which job goes first
//! Classes of priority come first ([`Shares`] keep the lower ones from starving). Within a class
//! tenants take turns by weight, in virtual time. Within a tenant and set of limit keys, the job
//! with the least time to its deadline goes first.
//!
//! # Map
//! | folder | its one thing |
//! |---|---|
//! | [`job`] | the nouns: a job, its id, state and history, and the stored form |
//! | `policy` | pure decisions: [`failure`], [`retry`], [`fingerprint`], priority, limits |
//! | `redis` | [`connect`]: connections that wait for Redis instead of failing; [`keys`]: every key and channel |
//! | `scripts` | every transition, in Lua |
//! | `client` | what a program that enqueues, reads and changes jobs calls |
//! | [`worker`] | the apalis backend, and [`protocol`], which it is built on |

mod client;
mod error;
pub mod job;
mod policy;
mod redis;
mod scripts;
pub mod worker;

pub use self::{
    client::{
        audit, books, change, dead, hold, limits, list, operations, outbox, outcomes, parking, reconcile,
        release, schedules, signals, standing, watch, workers,
    },
    job::{clock, condition, id, state, timeline},
    policy::{
        account, configuration, failure, fingerprint, histogram, kinds, limit, operation, priority, retry,
    },
    redis::{connect, keys},
    worker::{protocol, retention, scrub, set_back},
};

pub use account::{Account, UnknownAccount};
pub use audit::{Audit, Unexplained};
pub use books::{Books, NO_ROUTE};
pub use change::Changed;
pub use client::configuration::{Configured, StoredConfiguration};
pub use client::{Client, Counts, EnqueueResult, Erased, MAX_PAYLOAD, Operator, SignalCounts};
pub use clock::{Clock, LABEL_CLOCK, Origin, Stage};
pub use condition::{BadCondition, Condition, MAX_CONDITION};
pub use configuration::{BadConfiguration, Configuration, Difference, Retention};
pub use connect::{Connection, Connector, RedisOptions};
pub use dead::{Group, GroupAct, GroupFilter, GroupHistory, Hours};
pub use error::Error;
pub use failure::{Failure, FailureClass};
pub use histogram::Histogram;
pub use hold::Hold;
pub use id::{IdError, JobId, QueueName};
pub use job::{
    Answer, Awaiting, BadRemark, Begun, Deadline, Dropped, Expect, Expectation, Job, Late, NewJob, OnSilence,
    Progress, Rejection, Remark, Scope, Step, Unique,
};
pub use kinds::Kinds;
pub use limit::{BadLimit, Limit, LimitKey, Rate, Weight};
pub use limits::{LimitUse, Limits, LimitsInUse};
pub use list::{BadCursor, Cursor, Filter, Page, Searched, TraceId};
pub use operation::{BadPlan, OperationId, Phase, Plan, Steer};
pub use operations::{
    Advanced, Created, Operation, OperationCursor, OperationPage, Refusal, Steered, Walker,
};
pub use outbox::{Move, Outbox, OutboxGroup, OutboxReader, OutboxTail};
pub use outcomes::{Clocks, DuePack, FigureDay, OpenOfTenant, RouteClocks, Snapshot, VerdictDay, VerdictRow};
pub use parking::ConditionCursor;
pub use priority::{Priority, Shares};
pub use reconcile::{Conflict, Reconciled};
pub use release::{Released, Releasing};
pub use retention::Trimmed;
pub use retry::{Crashes, Decision, Earlier, RetryPolicy, Wait};
pub use schedules::{
    Fire, LastRun, MAX_FIRED, MAX_SCHEDULES, NewSchedule, NextRun, ScheduleChanged, Schedules, SchedulesSet,
    StoredSchedule,
};
#[doc(hidden)]
pub use scripts::crash_point;
pub use scripts::script_name;
pub use scrub::Scrubber;
pub use signals::{BadSignal, Kept, MAX_SIGNAL, MAX_SIGNALS, Signal, SignalCursor, SignalPage, Signalled};
pub use standing::{Capacity, LimitState, Standing};
pub use state::State;
pub use watch::{Balance, Drift, Watched};
pub use worker::{
    Await, Following, Lease, Park, RedisBackend, Release, Snooze, Stop, Undecodable, WorkerOptions,
};
pub use workers::{WorkerSeen, Workers};
