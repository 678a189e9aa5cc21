//! A program without a store: it says so, and how it gets one.

use std::convert::Infallible;

use upshot_runtime::Settings;

use super::{ReadError, Reading};

/// No store can be wrong.
pub type Error = Infallible;

/// No store.
pub struct Files;

impl Files {
    /// There is nothing to open.
    ///
    /// # Errors
    /// None.
    pub fn open(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Says that there is no store.
    ///
    /// # Errors
    /// Always [`ReadError::NotBuilt`].
    pub async fn read(&self, _: &str, _: Option<String>) -> Result<Reading, ReadError> {
        std::future::ready(Err(ReadError::NotBuilt)).await
    }
}
