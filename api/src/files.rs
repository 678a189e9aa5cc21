//! Stored files, where the program is built with a store.
//!
//! | module | its one thing |
//! |---|---|
//! | `stored` | files in the store, checked against their hash (feature `files`) |
//! | `absent` | a program without a store |

#[cfg(not(feature = "files"))]
mod absent;
#[cfg(feature = "files")]
mod stored;

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;

#[cfg(not(feature = "files"))]
pub use absent::{Error, Files};
#[cfg(feature = "files")]
pub use stored::{Error, Files};

/// A file that is being read.
pub struct Reading {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its content.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(dead_code, reason = "a program with a store has some of these answers, one without the other")]
pub enum ReadError {
    /// It is not there, or no longer.
    #[error("the store has no such file")]
    Gone,
    /// The store does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The program has no store.
    #[error("the program is built without the feature `files`")]
    NotBuilt,
}
