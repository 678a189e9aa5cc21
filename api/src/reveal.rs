//! `?reveal=true`: the one place that decides whether a request may see personal data.

use crate::{problem::Problem, query::Query};

/// The parameter's name.
pub const REVEAL: &str = "reveal";

/// What a request may see of stored data. Only [`Reveal::of`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal(bool);

impl Reveal {
    /// Decides about a request by its query.
    ///
    /// # Errors
    /// When the parameter is neither `true` nor `false`.
    pub fn of(query: &Query) -> Result<Self, Problem> {
        query.flag(REVEAL).map(Self)
    }

    /// Whether the request may see all of it.
    pub fn is_all(self) -> bool {
        self.0
    }
}
