//! Signals: what meets the conditions that handlers park jobs for.
//!
//! A signal names a condition and carries a payload. The queue keeps it (`keep_signals`), so a
//! job that waits later finds it. The first payload stays. A different one is recorded as a
//! contradiction, shown to those that ask, and changes no job.

use redis::RedisError;
use serde_json::Value;

use crate::{
    client::{handle::Client, list::sorted::Sorted, operator::Operator, release::Released},
    error::Error,
    job::{Said, condition::Condition},
    scripts::{self, Call, MAX_BATCH},
};

/// Bytes of a payload, as JSON, that are kept.
pub const MAX_SIGNAL: usize = 64 * 1024;
/// Bytes that a queue keeps of its signals, with about 250 for each signal. Beyond them signals are refused until old ones are
/// forgotten: a signal that is dropped would be a confirmation that is lost.
pub const MAX_SIGNALS: usize = 64 * 1024 * 1024;
/// Signals that are read at once.
const PAGE: usize = 100;

/// A signal that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// What it meets.
    pub condition: Condition,
    /// The first payload.
    pub payload: Value,
    /// When it came, UTC ms.
    pub at: i64,
    /// How many signals with another payload came.
    pub contradictions: u64,
    /// The newest of these, and when it came, UTC ms; `None` where the queue had no room for it
    /// ([`MAX_SIGNALS`]).
    pub other: Option<(Value, i64)>,
}

/// What became of a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// It is kept.
    Stored,
    /// One with the same payload was kept already.
    Known,
    /// One with another payload was kept already, and stays. This one is recorded.
    Contradicts {
        /// The payload that stays.
        first: Value,
    },
}

/// What became of a signal, and of the jobs that waited for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Signalled {
    /// Of the signal.
    pub kept: Kept,
    /// Of the jobs.
    pub released: Released,
}

/// A signal that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignal {
    /// The payload is too large.
    #[error(
        "the payload has {0} bytes as JSON, and at most {MAX_SIGNAL} are kept: \
         store what is large elsewhere and send where it is"
    )]
    TooLarge(usize),
    /// The queue keeps no more.
    #[error(
        "the queue keeps {0} bytes of signals, and at most {MAX_SIGNALS}: \
         send it again later, or lower `keep_signals`"
    )]
    Full(u64),
}

/// Where a list of signals continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalCursor {
    at: i64,
    condition: String,
}

/// A part of the signals, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignalPage {
    /// The signals.
    pub signals: Vec<Signal>,
    /// Where the next part begins, if there is one.
    pub next: Option<SignalCursor>,
}

impl Client {
    /// Meets a condition: keeps the signal, and lets the jobs continue that wait for it; the first
    /// at once, the rest in the background ([`crate::release`]). Sent again, it changes nothing.
    ///
    /// # Errors
    /// When the payload is too large, the queue keeps too many bytes of signals, or Redis failed.
    /// After that the signal may be kept: sending it again is safe.
    pub async fn signal(&self, condition: &Condition, payload: &Value) -> Result<Signalled, Error> {
        self.send(condition, payload, false).await
    }

    /// Sends a signal about work that is done and awaits its proof ([`Await`](crate::Await)): the job
    /// ends, with or without success. `{"outcome": "missed", "reason": …}` says that the work did not
    /// come out right; any other payload confirms it.
    ///
    /// As [`Self::signal`], but another payload contradicts the first one only if its verdict is
    /// another, or if it has the same `id` (a member of the payload).
    ///
    /// # Errors
    /// As [`Self::signal`].
    pub async fn confirm(&self, condition: &Condition, payload: &Value) -> Result<Signalled, Error> {
        self.send(condition, payload, true).await
    }

    async fn send(&self, condition: &Condition, payload: &Value, confirms: bool) -> Result<Signalled, Error> {
        let Said { reason, normal, id } = Said::of(payload);
        let payload = payload.to_string();
        if payload.len() > MAX_SIGNAL {
            return Err(BadSignal::TooLarge(payload.len()).into());
        }
        let mut call = Call::new(&scripts::SIGNAL, &self.keys);
        call.arg(condition.stored()).arg(payload).arg(MAX_SIGNALS).arg(MAX_BATCH);
        call.arg(reason).arg(normal).arg(u8::from(confirms)).arg(id);
        let (kept, first, released, left): (String, String, u64, u64) = self.run_replicated(&call).await?;
        let kept = match kept.as_str() {
            "stored" => Kept::Stored,
            "known" => Kept::Known,
            "contradicts" => Kept::Contradicts { first: read_payload(&first)? },
            _ => return Err(BadSignal::Full(first.parse().unwrap_or_default()).into()),
        };
        Ok(Signalled { kept, released: Released { released, left } })
    }

    /// The signal that is kept for a condition.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn kept_signal(&self, condition: &Condition) -> Result<Option<Signal>, Error> {
        self.check_layout().await?;
        Ok(self.read_signals(&[condition.stored()]).await?.pop())
    }

    /// A part of the signals that are kept, at most 100, the newest first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn kept_signals(&self, from: Option<&SignalCursor>, most: usize) -> Result<SignalPage, Error> {
        let most = most.clamp(1, PAGE);
        let behind = from.map(|SignalCursor { at, condition }| (*at, condition.as_str()));
        let mut found = self.part_of(Sorted::Signals, false, behind, most + 1).await?;
        let more = found.len() > most;
        found.truncate(most);
        let last = found.last().map(|(condition, at)| SignalCursor { at: *at, condition: condition.clone() });
        let conditions: Vec<String> = found.into_iter().map(|(condition, _)| condition).collect();
        Ok(SignalPage { signals: self.read_signals(&conditions).await?, next: last.filter(|_| more) })
    }

    async fn read_signals(&self, conditions: &[String]) -> Result<Vec<Signal>, Error> {
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        let fields = ["payload", "at", "contradictions", "other", "other_at"];
        for condition in conditions {
            pipe.cmd("HMGET").arg(self.keys.signal(condition)).arg(&fields);
        }
        let found: Vec<Fields> = pipe.query_async(&mut self.conn.clone()).await?;
        let signals = conditions.iter().zip(found);
        Ok(signals.filter_map(|(condition, fields)| Signal::read(condition, fields)).collect())
    }
}

impl Operator {
    /// Forgets a signal that was sent by mistake; whether one was kept. Another one may be sent then.
    /// A job that it answered keeps its answer.
    ///
    /// # Errors
    /// When Redis failed. The signal may be forgotten: asking again is safe.
    pub async fn withdraw_signal(&self, condition: &Condition) -> Result<bool, Error> {
        let mut call = Call::new(&scripts::WITHDRAW, &self.client.keys);
        call.arg(condition.stored());
        let withdrawn: u8 = self.client.run_replicated(&call).await?;
        Ok(withdrawn == 1)
    }
}

/// The fields of a kept signal, as they are read.
type Fields = (Option<String>, Option<i64>, Option<u64>, Option<String>, Option<i64>);

impl Signal {
    /// Reads a signal; `None` if it was forgotten in the meantime, or is damaged.
    fn read(condition: &str, (payload, at, contradictions, other, other_at): Fields) -> Option<Self> {
        let json = |text: String| serde_json::from_str(&text).ok();
        Some(Self {
            condition: condition.parse().ok()?,
            payload: json(payload?)?,
            at: at?,
            contradictions: contradictions.unwrap_or(0),
            other: other.and_then(json).zip(other_at),
        })
    }
}

fn read_payload(text: &str) -> Result<Value, RedisError> {
    serde_json::from_str(text).map_err(|error| {
        let why = redis::ParsingError::from(format!("the payload of a signal is no JSON: {error}"));
        RedisError::from(why)
    })
}

impl std::fmt::Display for SignalCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, data_encoding::HEXLOWER.encode(self.condition.as_bytes()))
    }
}

impl std::str::FromStr for SignalCursor {
    type Err = crate::client::list::BadCursor;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (at, condition) = s.split_once('-')?;
            let condition = data_encoding::HEXLOWER.decode(condition.as_bytes()).ok()?;
            Some(Self { at: at.parse().ok()?, condition: String::from_utf8(condition).ok()? })
        };
        read().ok_or_else(|| crate::client::list::BadCursor::new(s))
    }
}
