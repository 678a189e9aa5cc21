//! A file while it is read.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;

/// A file that is being read.
pub struct Reading {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its content.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there, or no longer.
    #[error("the store has no such file")]
    Gone,
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}
