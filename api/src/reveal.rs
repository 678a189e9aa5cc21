//! `?reveal=true`: the one place that decides whether a request may see personal data.

use upshot_access::Right;

use crate::{access::Caller, problem::Problem, query::Query};

/// The parameter's name.
pub const REVEAL: &str = "reveal";

/// What a request may see of stored data. Only [`Reveal::of`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal(bool);

impl Reveal {
    /// Decides about a request by its query and its principal.
    ///
    /// # Errors
    /// When the parameter is neither `true` nor `false`, or the principal may not see arguments.
    pub fn of(query: &Query, caller: &Caller) -> Result<Self, Problem> {
        let is_all = query.flag(REVEAL)?;
        if is_all {
            caller.require(Right::SeeArguments)?;
        }
        Ok(Self(is_all))
    }

    /// Whether the request may see all of it.
    pub fn is_all(self) -> bool {
        self.0
    }
}
