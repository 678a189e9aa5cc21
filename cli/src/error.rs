//! An error of a program, formatted for people.

use std::fmt;

/// The result of a program's `main`.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a program. Rust prints the `Debug` form of an error from `main`, so that form is one
/// line for people: the problem and its causes.
pub struct Error(anyhow::Error);

impl Error {
    pub(crate) fn into_inner(self) -> anyhow::Error {
        self.0
    }
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&upshot_shared::said::once(self.0.as_ref()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
