//! The entries of the audit log that are not copied yet, in order.
//!
//! One process copies at a time (see [`super::Acts::hold_relay`]). It notes the last entry of each stream
//! once its copy is confirmed. Entries are numbered, so entries that were trimmed before they were
//! copied are counted.

use std::time::Duration;

use redis::streams::{StreamId, StreamReadReply};
use upshot_queue::{Connection, Connector};

use super::{Act, Ended, Stream, read, time_of};
use crate::{error::Error, keys::Keys};

/// The types of the events that entries become outside, each with what it tells.
pub const KINDS: [(&str, &str); 4] = [
    (INTENDED, "What a principal is about to do. It is on record before it is done."),
    (CONCLUDED, "What came of an act. It repeats the intent, and has its id."),
    (REFUSED, "What a principal may not do, or what nothing identified asked for."),
    (SUPPRESSED, "How many further refusals of about a minute have no entries."),
];
const INTENDED: &str = "upshot.act.intended.v1";
const CONCLUDED: &str = "upshot.act.concluded.v1";
const REFUSED: &str = "upshot.act.refused.v1";
const SUPPRESSED: &str = "upshot.act.suppressed.v1";

/// The field of the control key that counts entries that were trimmed before they were copied.
pub(super) const LOST: &str = "lost";

/// The entries that are not copied yet. It has its own connection, because its reads wait.
#[derive(Debug)]
pub struct Tail {
    conn: Connection,
    keys: Keys,
    positions: [Position; 2],
    lost: u64,
}

/// The last entry of a stream that was copied: its id and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    id: String,
    pub(super) number: u64,
}

/// An entry to copy.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What identifies the entry among all entries: the same each time it is read.
    pub id: String,
    /// When it was written, UTC ms.
    pub at: i64,
    /// The act; `None` if another program wrote the entry.
    pub act: Option<Act>,
    stream: usize,
    position: Position,
}

impl Entry {
    /// The type of the event that the entry becomes outside: one of [`KINDS`].
    pub fn kind(&self) -> Option<&'static str> {
        let result = self.act.as_ref()?.result;
        Some(match (result, Stream::ALL.get(self.stream)) {
            (Ended::Pending, _) => INTENDED,
            (Ended::Suppressed, _) => SUPPRESSED,
            (_, Some(Stream::Refusals)) => REFUSED,
            (_, _) => CONCLUDED,
        })
    }
}

impl Position {
    /// Reads a stored position; the beginning without one.
    pub(super) fn read(stored: Option<&str>) -> Self {
        let parts = stored.and_then(|text| text.split_once(' '));
        let parts = parts.and_then(|(id, number)| Some((id.to_owned(), number.parse().ok()?)));
        let (id, number) = parts.unwrap_or_else(|| ("0-0".to_owned(), 0));
        Self { id, number }
    }

    fn text(&self) -> String {
        format!("{} {}", self.id, self.number)
    }
}

impl Tail {
    /// Begins after the last entries that were copied.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn new(connector: &Connector) -> Result<Self, Error> {
        let (conn, keys) = (connector.connect()?, Keys::new(connector.prefix()));
        let [acts, refusals] = Stream::ALL.map(Stream::copied);
        let mut stored = redis::cmd("HMGET");
        stored.arg(keys.audit()).arg(acts).arg(refusals).arg(LOST);
        let (acts, refusals, lost): (Option<String>, Option<String>, Option<u64>) =
            stored.query_async(&mut conn.clone()).await?;
        let positions = [acts, refusals].map(|stored| Position::read(stored.as_deref()));
        Ok(Self { conn, keys, positions, lost: lost.unwrap_or(0) })
    }

    /// Up to `most` entries of each stream that are not copied, each stream in order. Waits up to
    /// `wait` for one, which must be shorter than the response timeout.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry>, Error> {
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(most);
        if !wait.is_zero() {
            cmd.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        let keys = Stream::ALL.map(|stream| stream.key(&self.keys));
        cmd.arg("STREAMS").arg(&keys).arg(&self.positions.each_ref().map(|position| position.id.clone()));
        let found: Option<StreamReadReply> = cmd.query_async(&mut self.conn).await?;
        let mut entries = Vec::new();
        for of_key in found.into_iter().flat_map(|found| found.keys) {
            let Some(stream) = keys.iter().position(|key| *key == of_key.key) else { continue };
            entries.extend(of_key.ids.iter().map(|stored| entry(stream, stored)));
        }
        Ok(entries)
    }

    /// Notes that these entries are copied: what [`Self::read`] returned, in its order. Returns how
    /// many entries before them were trimmed before they were copied.
    ///
    /// # Errors
    /// When Redis failed. The entries then come again.
    pub async fn copied(&mut self, entries: &[Entry]) -> Result<u64, Error> {
        let (mut positions, mut lost) = (self.positions.clone(), 0);
        for entry in entries {
            let Some(position) = positions.get_mut(entry.stream) else { continue };
            // An entry of another program has no number.
            let number = entry.position.number.max(position.number);
            lost += number.saturating_sub(position.number + 1);
            *position = Position { id: entry.position.id.clone(), number };
        }
        let mut note = redis::cmd("HSET");
        note.arg(self.keys.audit());
        for (stream, position) in Stream::ALL.iter().zip(&positions) {
            note.arg(stream.copied()).arg(position.text());
        }
        note.arg(LOST).arg(self.lost + lost);
        let () = note.query_async(&mut self.conn).await?;
        self.positions = positions;
        self.lost += lost;
        Ok(lost)
    }
}

fn entry(stream: usize, stored: &StreamId) -> Entry {
    let field = |name: &str| stored.get::<String>(name).unwrap_or_default();
    let of = Stream::ALL.get(stream).copied().unwrap_or(Stream::Acts);
    Entry {
        id: of.act(&stored.id),
        at: time_of(&stored.id),
        act: read(of, &stored.id, &field("of"), &field("act")),
        stream,
        position: Position { id: stored.id.clone(), number: field("n").parse().unwrap_or(0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position = Position { id: "1764-3".to_owned(), number: 17 };
        assert_eq!(Position::read(Some(&position.text())), position);
        for text in [None, Some(""), Some("1764-3"), Some("1764-3 x")] {
            assert_eq!(Position::read(text), Position { id: "0-0".to_owned(), number: 0 });
        }
    }
}
