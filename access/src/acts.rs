//! The audit log: what principals do, on record before they do it.
//!
//! An act has two entries in the stream `{@audit}:acts`: the intent before it, and the result after
//! it, which repeats the intent. An intent without a result is pending, and after a minute unknown:
//! the process ended in between, or Redis took no result. Refusals have one entry each in a stream of
//! their own, so that no number of them displaces an act.
//!
//! | module | its one thing |
//! |---|---|
//! | `act` | an act: intent, result, and the entry that has both |
//! | [`mod@bounds`] | the size of an entry |
//! | `flood` | how many refusals have entries of their own |
//! | [`list`] | pages of acts, the newest first |
//! | [`tail`] | the entries that are not copied yet, in order |

mod act;
pub mod bounds;
mod flood;
pub mod list;
pub mod tail;

use std::{sync::LazyLock, time::Duration};

use redis::Script;
use upshot_queue::{Connection, Hold};

pub use act::{Act, Conclusion, Ended, Intent, NoResult, Origin, Suppressed};

use crate::{error::Error, keys::Keys, right::Right};
use flood::{Flood, Verdict};

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("acts/append.lua")));
static CONCLUDE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("acts/conclude.lua")));

/// How long and how many entries Redis keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// For how long.
    pub time: Duration,
    /// Entries of acts at most; an act has two.
    pub acts: usize,
    /// Entries of refusals at most.
    pub refusals: usize,
}

/// An act that has begun: its intent is on record.
#[derive(Clone, Debug)]
pub struct Begun {
    id: String,
    act: Act,
}

impl Begun {
    /// The id of the act.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The right that it uses.
    pub const fn right(&self) -> Option<Right> {
        self.act.right
    }
}

/// How many entries there are, and how many of them are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Entries that were written.
    pub written: u64,
    /// Entries that the relay has not copied yet, trimmed ones included.
    pub uncopied: u64,
    /// Entries that were trimmed before the relay copied them.
    pub lost: u64,
}

/// The audit log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acts {
    conn: Connection,
    keys: Keys,
    kept: Kept,
    flood: Flood,
}

impl Acts {
    /// The audit log on a connection.
    pub fn with_connection(conn: Connection, prefix: &str, kept: Kept) -> Self {
        Self { conn, keys: Keys::new(prefix), kept, flood: Flood::default() }
    }

    /// Writes what a principal is about to do. Without this nothing may be done.
    ///
    /// # Errors
    /// When Redis failed. The entry may be there all the same; it is then unknown.
    pub async fn intend(&self, intent: Intent) -> Result<Begun, Error> {
        let (act, text) = bounds::intent(Act::of(intent));
        let id = self.append(Stream::Acts, &text, true).await?;
        Ok(Begun { id, act })
    }

    /// Writes what came of an act. A call that is repeated changes nothing.
    ///
    /// # Errors
    /// When Redis failed: call it again.
    pub async fn conclude(&self, begun: &Begun, conclusion: Conclusion) -> Result<(), Error> {
        let mut act = begun.act.clone().concluded(conclusion);
        act.at = time_of(&begun.id);
        let mut call = CONCLUDE.key(self.keys.acts());
        call.key(self.keys.audit()).key(self.keys.open());
        call.arg(&begun.id).arg(bounds::entry(act)).arg(self.kept.acts);
        let _: Option<String> = call.invoke_async(&mut self.conn.clone()).await?;
        Ok(())
    }

    /// Writes an act that is over, as one entry: a login, of which the principal was not known before.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn record(&self, intent: Intent, conclusion: Conclusion) -> Result<(), Error> {
        let text = bounds::entry(Act::of(intent).concluded(conclusion));
        self.append(Stream::Acts, &text, false).await.map(drop)
    }

    /// Writes that a principal, or a client that nothing identified, was refused. Each client address
    /// has some entries a minute, and all together have some more; further refusals are counted, and
    /// [`Self::write_suppressed`] writes the count. Returns whether there is an entry.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn refused(&self, intent: Intent, conclusion: Conclusion) -> Result<bool, Error> {
        match self.flood.verdict(intent.origin.address.as_deref()) {
            Verdict::Suppressed => return Ok(false),
            Verdict::Entry => {}
        }
        let mut act = Act::of(intent).concluded(conclusion);
        act.result = Ended::Refused;
        self.append(Stream::Refusals, &bounds::entry(act), false).await?;
        Ok(true)
    }

    /// Writes how many refusals of the minutes that are over have no entries. To be called about once
    /// a minute. Returns how many.
    ///
    /// # Errors
    /// When Redis failed. The count is then part of the next one.
    pub async fn write_suppressed(&self) -> Result<u64, Error> {
        let Some(suppressed) = self.flood.take() else { return Ok(0) };
        let refusals = suppressed.refusals;
        let act = Act {
            result: Ended::Suppressed,
            suppressed: Some(suppressed.clone()),
            ..Act::of(Intent::default())
        };
        let written = self.append(Stream::Refusals, &bounds::entry(act), false).await;
        written.map(|_| refusals).inspect_err(|_| self.flood.give_back(&suppressed))
    }

    /// How many entries there are, and how many of them are copied.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn figures(&self) -> Result<Figures, Error> {
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.audit()).arg(Stream::Acts.name()).arg(Stream::Refusals.name());
        read.arg(Stream::Acts.copied()).arg(Stream::Refusals.copied()).arg(tail::LOST);
        type Read = (Option<u64>, Option<u64>, Option<String>, Option<String>, Option<u64>);
        let (acts, refusals, copied, copied_too, lost): Read =
            read.query_async(&mut self.conn.clone()).await?;
        let written = acts.unwrap_or(0) + refusals.unwrap_or(0);
        let number = |position: Option<String>| tail::Position::read(position.as_deref()).number;
        let uncopied = written.saturating_sub(number(copied) + number(copied_too));
        Ok(Figures { written, uncopied, lost: lost.unwrap_or(0) })
    }

    /// The right to copy entries to the outside. `owner` must be unique to this process, and have no
    /// blank.
    pub fn hold_relay(&self, owner: &str) -> Hold {
        Hold::on(self.conn.clone(), self.keys.relay(), owner.to_owned())
    }

    async fn append(&self, stream: Stream, text: &str, is_intent: bool) -> Result<String, Error> {
        let most = match stream {
            Stream::Acts => self.kept.acts,
            Stream::Refusals => self.kept.refusals,
        };
        let mut call = APPEND.key(stream.key(&self.keys));
        call.key(self.keys.audit()).key(self.keys.open());
        let keep = u64::try_from(self.kept.time.as_millis()).unwrap_or(u64::MAX);
        call.arg(stream.name()).arg(text).arg(keep).arg(most).arg(u8::from(is_intent));
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }
}

/// The streams of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// Intents and results.
    Acts,
    /// Refusals, and counts of them.
    Refusals,
}

impl Stream {
    const ALL: [Self; 2] = [Self::Acts, Self::Refusals];

    fn key(self, keys: &Keys) -> String {
        match self {
            Self::Acts => keys.acts(),
            Self::Refusals => keys.refusals(),
        }
    }

    /// The field of the control key that counts its entries.
    const fn name(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Refusals => "refusals",
        }
    }

    /// The field of the control key that has the last entry that was copied.
    const fn copied(self) -> &'static str {
        match self {
            Self::Acts => "acts_copied",
            Self::Refusals => "refusals_copied",
        }
    }

    /// The id of an act, of the id of its first entry.
    fn act(self, entry: &str) -> String {
        match self {
            Self::Acts => entry.to_owned(),
            Self::Refusals => format!("r{entry}"),
        }
    }
}

/// The time in the id of an entry, UTC ms.
fn time_of(id: &str) -> i64 {
    id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or(0)
}

/// The act of an entry of a stream. `None` if another program wrote it.
fn read(stream: Stream, id: &str, of: &str, text: &str) -> Option<Act> {
    let mut act: Act = serde_json::from_str(text).ok()?;
    let first = if of.is_empty() { id } else { of };
    act.id = stream.act(first);
    act.at = time_of(first);
    act.ended_at = (act.result != Ended::Pending).then(|| time_of(id));
    Some(act)
}
