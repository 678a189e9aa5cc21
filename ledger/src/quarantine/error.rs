//! Why a call to the rows of quarantine did not succeed.

use redis::RedisError;
use upshot_queue::connect::{Cause, told};

use crate::keys::SCHEMA;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer, or refused the call. The call may have been applied; repeating it is
    /// safe.
    #[error("Redis: {}", told(.0))]
    Redis(RedisError),
    /// A key of the ledger was changed by another program.
    #[error(
        "the ledger's key {said}: another program wrote it. Rename the key, and the ledger begins a new one; \
         messages in quarantine are not lost, but those without a row are only counted as unlisted"
    )]
    Damaged {
        /// Which key, and what is wrong with it.
        said: String,
    },
    /// The ledger was written by a program with another layout of keys.
    #[error(
        "the ledger was written with layout {found}, this program speaks layout {SCHEMA}: \
         run the version of the program that fits, or use another prefix"
    )]
    Layout {
        /// The layout in Redis.
        found: String,
    },
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        let said = || error.detail().unwrap_or_default().to_owned();
        match error.code() {
            Some("DAMAGED") => Self::Damaged { said: said() },
            Some("LAYOUT") => Self::Layout { found: said() },
            _ => Self::Redis(error),
        }
    }
}

impl Error {
    /// Whether the same call may succeed later without a repair by a person.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Redis(error) => Cause::of(error) != Cause::Other,
            Self::Damaged { .. } | Self::Layout { .. } => false,
        }
    }
}
