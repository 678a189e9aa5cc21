//! Where a list continues, for principals that see a part of it.
//!
//! A cursor names the job at which a page stopped, which may be another tenant's. So a principal of some
//! jobs gets it sealed.

use std::{fmt::Display, str::FromStr};

use super::Caller;
use crate::{problem::Problem, query::Query, state::State};

/// What a cursor is called in queries.
const NAME: &str = "cursor";

impl State {
    /// The cursor of a query, as the caller got it.
    ///
    /// # Errors
    /// When it is not one.
    pub async fn cursor<T: FromStr<Err: Display>>(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<Option<T>, Problem> {
        let Some(given) = query.text(NAME) else { return Ok(None) };
        let opened = self.open_cursor(caller, NAME, given).await?;
        opened.parse().map(Some).map_err(|why| Problem::parameter(NAME, given, why))
    }

    /// A cursor as it is given to the caller.
    ///
    /// # Errors
    /// A 503 when Redis does not answer.
    pub async fn show_cursor(&self, caller: &Caller, cursor: &impl Display) -> Result<String, Problem> {
        let cursor = cursor.to_string();
        if caller.scope().is_everything() {
            return Ok(cursor);
        }
        self.access(self.seal.close(&cursor)).await
    }

    /// A cursor that [`Self::show_cursor`] gave to the caller.
    ///
    /// # Errors
    /// A 400 when it was not given, a 503 when Redis does not answer.
    pub async fn open_cursor(&self, caller: &Caller, name: &str, given: &str) -> Result<String, Problem> {
        if caller.scope().is_everything() {
            return Ok(given.to_owned());
        }
        self.access(self.seal.open(given)).await?.ok_or_else(|| {
            let remedy = "it does not belong to this list: follow `next` of the previous page, unchanged";
            Problem::parameter(name, given, remedy)
        })
    }
}
