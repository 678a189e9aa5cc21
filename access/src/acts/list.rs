//! Pages of acts, the newest first, with filters.
//!
//! A page examines a bounded number of entries and says how far it came. It continues by the ids of
//! the last examined entries, so a page costs the same at any position. An act stands where its result
//! stands; an act without a result stands where its intent stands. So an act that ends while a person
//! turns pages is found at the beginning of the list.

use std::{fmt, str::FromStr, sync::LazyLock};

use redis::Script;

use super::{Act, Acts, Ended, Stream, read};
use crate::{error::Error, right::Right};

static PAGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));

/// Entries that a page examines at most.
const MOST_EXAMINED: usize = 2_000;
/// Entries of each stream that one call reads.
const PART: usize = 100;
/// After this long an act without a result is unknown, ms. No request takes longer.
const UNKNOWN_MS: i64 = 60_000;

/// Which acts a list shows; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of the principal with this kind, id or name.
    pub principal: Option<String>,
    /// Only with this right.
    pub right: Option<Right>,
    /// Only of this operation.
    pub operation: Option<String>,
    /// Only about this.
    pub target: Option<String>,
    /// Only with this result.
    pub result: Option<Ended>,
    /// Only acts that ended at this time or later, UTC ms.
    pub from: Option<i64>,
    /// Only acts that ended at this time or earlier, UTC ms.
    pub to: Option<i64>,
}

impl Filter {
    /// Whether an act is shown. The times are bounds of the list and not looked at here.
    fn shows(&self, act: &Act) -> bool {
        let Self { principal, right, operation, target, result, .. } = self;
        principal.as_deref().is_none_or(|text| act.is_by(text))
            && right.is_none_or(|right| act.right == Some(right))
            && operation.as_deref().is_none_or(|operation| act.operation == operation)
            && target.as_deref().is_none_or(|text| act.is_about(text))
            && result.is_none_or(|result| act.result == result)
    }
}

/// The id of an entry in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl Id {
    const FIRST: Self = Self(0, 0);
    const LAST: Self = Self(u64::MAX, u64::MAX);

    fn parse(text: &str) -> Option<Self> {
        let (ms, number) = text.split_once('-')?;
        let id = Self(ms.parse().ok()?, number.parse().ok()?);
        // Each id has one form.
        (id.to_string() == text).then_some(id)
    }

    /// The end of a range of the entries below this one; empty if there are none.
    fn below(self) -> String {
        match self {
            Self::FIRST => String::new(),
            Self::LAST => "+".to_owned(),
            id => format!("({id}"),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// Where a list continues: below these entries. An opaque text, to be passed on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    acts: Id,
    refusals: Id,
}

/// A text that is not a cursor of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor of this list: pass on the `next` of the previous page, unchanged")]
pub struct BadCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.acts, self.refusals)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let parts = text.split_once('.').and_then(|(a, b)| Some((Id::parse(a)?, Id::parse(b)?)));
        let bad = || BadCursor(text.chars().take(100).collect());
        parts.map(|(acts, refusals)| Self { acts, refusals }).ok_or_else(bad)
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The acts, the newest first.
    pub acts: Vec<Act>,
    /// Where the list continues; `None` if this is the last page.
    pub next: Option<Cursor>,
    /// How far the page came, if it stopped before it was full.
    pub searched: Option<Searched>,
}

/// How far a page came that stopped before it was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// Entries that the page examined.
    pub entries: usize,
    /// The time of the last examined entry, UTC ms.
    pub back_to: i64,
}

/// An entry of one of the streams.
struct Entry {
    stream: Stream,
    id: Id,
    act: Option<Act>,
}

/// What one call reads of a stream: its entries, and whether it has more.
struct Part {
    entries: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    is_last: bool,
}

/// An entry as the script returns it.
type Raw = (String, String, String, bool);

impl Acts {
    /// Reads a page of at most `limit` acts.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn list(&self, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        let upper = match filter.to.and_then(|to| u64::try_from(to).ok()) {
            Some(to) => Id(to.saturating_add(1), 0),
            None => Id::LAST,
        };
        let mut at = from.unwrap_or(Cursor { acts: upper, refusals: upper });
        (at.acts, at.refusals) = (at.acts.min(upper), at.refusals.min(upper));
        let lowest = filter.from.and_then(|from| u64::try_from(from).ok()).map_or(Id::FIRST, |ms| Id(ms, 0));
        let (mut page, mut examined) = (Page::default(), 0);
        loop {
            let [mut acts, mut refusals] = self.part(at).await?;
            loop {
                // A part that is used up and has more in Redis must be read before its neighbour continues.
                let is_behind = |part: &mut Part| part.entries.peek().is_none() && !part.is_last;
                if is_behind(&mut acts) || is_behind(&mut refusals) {
                    break;
                }
                let next_of = |part: &mut Part| part.entries.peek().map(|entry| entry.id);
                let (of_acts, of_refusals) = (next_of(&mut acts), next_of(&mut refusals));
                let first = if of_acts >= of_refusals { &mut acts } else { &mut refusals };
                let Some(entry) = first.entries.next_if(|entry| entry.id >= lowest) else { return Ok(page) };
                let shown = entry.act.filter(|act| filter.shows(act));
                if page.acts.len() == limit && shown.is_some() {
                    page.next = Some(at);
                    return Ok(page);
                }
                page.acts.extend(shown);
                match entry.stream {
                    Stream::Acts => at.acts = entry.id,
                    Stream::Refusals => at.refusals = entry.id,
                }
                examined += 1;
                if examined >= MOST_EXAMINED {
                    let back_to = i64::try_from(entry.id.0).unwrap_or(i64::MAX);
                    page.searched =
                        (page.acts.len() < limit).then_some(Searched { entries: examined, back_to });
                    page.next = Some(at);
                    return Ok(page);
                }
            }
        }
    }

    /// The newest entries of both streams below a position.
    async fn part(&self, below: Cursor) -> Result<[Part; 2], Error> {
        let mut call = PAGE.key(self.keys.acts());
        call.key(self.keys.refusals()).key(self.keys.open());
        call.arg(below.acts.below()).arg(below.refusals.below()).arg(PART);
        let (now, acts, refusals): (i64, Vec<Raw>, Vec<Raw>) =
            call.invoke_async(&mut self.conn.clone()).await?;
        let part = |stream: Stream, raw: Vec<Raw>| {
            let is_last = raw.len() < PART;
            let entry = |(id, of, text, is_open): Raw| Entry {
                stream,
                id: Id::parse(&id).unwrap_or(Id::FIRST),
                act: read(stream, &id, &of, &text).and_then(|act| standing(act, is_open, now)),
            };
            Part { entries: raw.into_iter().map(entry).collect::<Vec<_>>().into_iter().peekable(), is_last }
        };
        Ok([part(Stream::Acts, acts), part(Stream::Refusals, refusals)])
    }
}

/// The act that an entry stands for; `None` for an intent whose result has its own entry.
fn standing(act: Act, is_open: bool, now: i64) -> Option<Act> {
    if act.result != Ended::Pending {
        return Some(act);
    }
    let result = if now - act.at > UNKNOWN_MS { Ended::Unknown } else { Ended::Pending };
    is_open.then_some(Act { result, ..act })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_is_written(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            let cursor = Cursor { acts: Id(a.0, a.1), refusals: Id(b.0, b.1) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn other_texts_are_no_cursors(text in "[+0-9.-]{0,20}|\\PC{0,20}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn an_intent_is_pending_then_unknown_and_hidden_once_it_has_a_result() {
        let act = |result| Act { result, at: 1_000, ..Act::of(super::super::Intent::default()) };
        let of = |is_open, now| standing(act(Ended::Pending), is_open, now).map(|act| act.result);
        assert_eq!(of(true, 1_000 + UNKNOWN_MS), Some(Ended::Pending));
        assert_eq!(of(true, 1_001 + UNKNOWN_MS), Some(Ended::Unknown));
        assert_eq!(of(false, 2_000), None);
        assert!(standing(act(Ended::Done), false, 2_000).is_some());
    }
}
