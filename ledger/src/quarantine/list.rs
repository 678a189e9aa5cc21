//! Pages of rows, the newest first, with filters.
//!
//! A page examines a bounded number of rows and says how far it got. It continues by the score of the
//! last examined row, so a page costs the same at any position, and a forgotten row moves nothing.

use std::{fmt, str::FromStr, sync::LazyLock};

use redis::Script;

use super::{Bounds, Error, MessageId, Quarantine, Row, script};

static PAGE: LazyLock<Script> = script!("#!lua flags=no-writes", "open.lua", "page.lua");
static ROW: LazyLock<Script> = script!("#!lua flags=no-writes", "open.lua", "row.lua");

/// Rows that a page examines at most.
const MOST_EXAMINED: usize = 4_000;
/// Rows that one call reads.
const PART: usize = 200;
/// Larger numbers are not times, and Redis would round them.
const MOST: i64 = 1 << 53;

/// Which rows a list shows; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only of this event type.
    pub kind: Option<String>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only about this subject.
    pub subject: Option<String>,
    /// Only messages that first came at this time or later, UTC ms.
    pub since: Option<i64>,
    /// Only messages that first came before this time, UTC ms.
    pub until: Option<i64>,
}

impl Filter {
    /// Whether every row within the times is shown.
    fn shows_all(&self) -> bool {
        let Self { reason, kind, source, subject, .. } = self;
        [reason, kind, source, subject].into_iter().all(Option::is_none)
    }

    /// Whether a row is shown. The times are bounds of the index and not looked at here.
    fn shows(&self, row: &Row) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.reason, Some(&row.reason))
            && is(&self.kind, row.facts.kind.as_deref())
            && is(&self.subject, row.facts.subject.as_deref())
            && is(&self.source, row.facts.source.as_deref())
    }
}

/// Where a list continues: after the row with this score. An opaque text, to be passed on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(i64);

/// A text that is not a cursor of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor of this list: pass on the `next` of the previous page, unchanged")]
pub struct BadCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = text.parse().ok().filter(|number| (0..MOST).contains(number));
        // Each number has one form: `+1` and `01` are invalid.
        let number = number.filter(|number: &i64| number.to_string() == text);
        number.map(Self).ok_or_else(|| BadCursor(text.chars().take(100).collect()))
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows, the newest first.
    pub rows: Vec<Row>,
    /// Where the list continues; `None` if this is the last page.
    pub next: Option<Cursor>,
    /// How far the page searched, if it stopped before it was full.
    pub searched: Option<Searched>,
}

/// How far a page searched that stopped before it was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// Rows that the page examined.
    pub rows: usize,
    /// When the message of the last examined row first came, UTC ms.
    pub back_to: i64,
}

impl Quarantine {
    /// Reads a page of at most `limit` rows.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn list(&self, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        let mut page = Page::default();
        let Some(lowest) = scores(filter.since.unwrap_or(0)) else { return Ok(page) };
        let until = filter.until.map_or(Some(MOST), scores);
        let mut below = until.unwrap_or(MOST).min(from.map_or(MOST, |Cursor(score)| score));
        let mut examined = 0;
        loop {
            // One more than shown tells whether there is another page.
            let most = if filter.shows_all() { limit - page.rows.len() + 1 } else { PART }.min(PART);
            let part = self.part(below, lowest, most).await?;
            let is_last = part.len() < most;
            for (id, score, stored) in part {
                if page.rows.len() == limit {
                    page.next = Some(Cursor(below));
                    return Ok(page);
                }
                below = score;
                examined += 1;
                // Only another program adds what is not an id.
                let Ok(id) = id.parse() else { continue };
                page.rows.extend(Some(Row::read(id, score, &stored)).filter(|row| filter.shows(row)));
            }
            if is_last {
                return Ok(page);
            }
            if examined >= MOST_EXAMINED {
                page.next = Some(Cursor(below));
                page.searched = Some(Searched { rows: examined, back_to: below / 1000 });
                return Ok(page);
            }
        }
    }

    /// Forgets the rows about a subject, and returns how many there were. It reads all rows, page by
    /// page. A row knows a subject only if the event could be read; the messages themselves are in
    /// RabbitMQ.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged. A part may be erased; a repeated call erases what
    /// is left.
    pub async fn erase_subject(&self, subject: &str, bounds: Bounds) -> Result<u64, Error> {
        let filter = Filter { subject: Some(subject.to_owned()), ..Filter::default() };
        let (mut erased, mut from) = (0, None);
        loop {
            let page = self.list(&filter, from, PART).await?;
            for row in page.rows {
                erased += u64::from(self.erase(&row.id, bounds).await?);
            }
            from = page.next;
            if from.is_none() {
                return Ok(erased);
            }
        }
    }

    /// One row; `None` without one.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn row(&self, id: &MessageId) -> Result<Option<Row>, Error> {
        let mut call = self.call(&ROW);
        call.arg(id.as_str());
        let (score, stored): (String, String) = call.invoke_async(&mut self.conn.clone()).await?;
        Ok(score.parse().ok().map(|score| Row::read(id.clone(), score, &stored)))
    }

    /// The newest rows below a score.
    async fn part(&self, below: i64, lowest: i64, most: usize) -> Result<Vec<(String, i64, String)>, Error> {
        let mut call = self.call(&PAGE);
        call.arg(format!("({below}")).arg(lowest).arg(most);
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }
}

/// The first score of a time in ms; `None` after all times.
fn scores(ms: i64) -> Option<i64> {
    ms.max(0).checked_mul(1000).filter(|score| *score < MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_is_written(score in 0..MOST) {
            prop_assert_eq!(Cursor(score).to_string().parse(), Ok(Cursor(score)));
        }

        #[test]
        fn other_texts_are_no_cursors(text in "[+0 -]?[0-9a-z.]{0,20}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
