//! Why a call to a queue does not succeed.

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
    /// Redis did not answer, or answered with an error. What was asked for may
    /// have been applied; asking again is safe.
    #[error("Redis: {}", connect::told(.0))]
    Redis(#[from] RedisError),
    /// A stored job is damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Arguments that cannot be taken.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A cursor that is not one of the list.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// A limit that cannot be kept.
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
        /// The layout that is there.
        found: String,
    },
    /// A job changed each time that it was to be repaired.
    #[error("job {0} changed each time that it was to be repaired: ask again")]
    Contended(JobId),
    /// The jobs are in Redis, but not on as many replicas as they have to be.
    /// Enqueueing them again finds them, and waits for the replicas again.
    #[error(
        "{acknowledged} of {wanted} replicas have the jobs: see that they are up, or lower `redis.replicas`"
    )]
    NotReplicated {
        /// How many have them.
        acknowledged: usize,
        /// How many are to have them.
        wanted: usize,
    },
}

impl Error {
    /// Why Redis does not do what it is asked for, as far as this is the reason.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Redis(error) => Cause::of(error),
            Self::NotReplicated { .. } => Cause::TooFewReplicas,
            _ => Cause::Other,
        }
    }
}
