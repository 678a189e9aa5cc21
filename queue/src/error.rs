//! Errors of calls to a queue.

use redis::RedisError;

use crate::{
    client::{list::BadCursor, signals::BadSignal},
    job::{Rejection, Unreadable, id::JobId},
    policy::{configuration::BadConfiguration, limit::BadLimit},
    redis::{
        connect::{self, Cause},
        keys::SCHEMA,
    },
};

/// Why a call to a queue did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer, or answered with an error. The call may have been applied; repeating
    /// it is safe.
    #[error("Redis: {}", connect::told(.0))]
    Redis(#[from] RedisError),
    /// A stored job is damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Arguments that the queue refuses.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A cursor that does not belong to the list.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// An invalid limit.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// A signal that is not taken.
    #[error(transparent)]
    Signal(#[from] BadSignal),
    /// A configuration that cannot be used.
    #[error(transparent)]
    BadConfiguration(#[from] BadConfiguration),
    /// The stored configuration is not one that this program understands.
    #[error("version {version} of the queue's configuration cannot be read: {why}")]
    Configuration {
        /// Which version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The queue was written by a program with another layout of keys.
    #[error(
        "the queue was written with layout {found}, this program speaks layout {SCHEMA}: \
         run the version of the program that fits, or use another prefix"
    )]
    Layout {
        /// The layout in Redis.
        found: String,
    },
    /// A job changed during each attempt to repair it.
    #[error("job {0} changed during each attempt to repair it: repeat the call")]
    Contended(JobId),
    /// The jobs are in Redis, but on fewer replicas than demanded. Enqueueing them again finds
    /// them, and waits for the replicas again.
    #[error(
        "{acknowledged} of {wanted} replicas have the jobs: see that they are up, or lower `redis.replicas`"
    )]
    NotReplicated {
        /// The replicas that have them.
        acknowledged: usize,
        /// The replicas that must have them.
        wanted: usize,
    },
}

impl Error {
    /// The cause of an error of Redis; `None` for other errors.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Redis(error) => Cause::of(error),
            Self::NotReplicated { .. } => Cause::TooFewReplicas,
            _ => Cause::Other,
        }
    }
}
