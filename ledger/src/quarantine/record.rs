//! Counts a message once and keeps a row; forgets rows beyond the bounds.

use std::{sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation};
use upshot_runtime::settings::QuarantineSettings;
use upshot_shared::Reason;

use super::{Error, Facts, MessageId, Quarantine, script};

/// For how long the message of a forgotten row is recognised.
const REMEMBER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Notes of forgotten rows at most: some 10 MB. RabbitMQ delivers a message again within seconds, so
/// the oldest notes are the least needed.
const MOST_NOTES: usize = 100_000;
/// Rows that one call forgets at most.
const AT_ONCE: usize = 32;

/// Redis refuses it at its memory limit, as it refuses jobs; the message then waits.
static RECORD: LazyLock<Script> = script!("#!lua", "open.lua", "forget.lua", "record.lua");
/// Always allowed, because it frees memory.
static TRIM: LazyLock<Script> = script!("#!lua flags=allow-oom", "open.lua", "forget.lua", "trim.lua");
static ERASE: LazyLock<Script> = script!("#!lua flags=allow-oom", "open.lua", "forget.lua", "erase.lua");

/// How long and how many rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a row is kept, from when the message first came.
    pub keep: Duration,
    /// The bytes that all rows may take in Redis, about. The oldest rows go first.
    pub keep_bytes: usize,
}

impl From<&QuarantineSettings> for Bounds {
    fn from(settings: &QuarantineSettings) -> Self {
        Self { keep: settings.keep, keep_bytes: settings.keep_bytes.0 }
    }
}

/// What became of a recorded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// How often the message came, as far as its row knows.
    pub times: u64,
    /// Whether the book counts the message from now on. Otherwise it was counted before.
    pub is_new: bool,
    /// Rows that were forgotten for it.
    pub forgotten: u64,
}

impl Quarantine {
    /// Records a message of which RabbitMQ has confirmed a copy. May be repeated: the message is
    /// counted once, and `times` may rise.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn record(
        &self,
        id: &MessageId,
        reason: Reason,
        facts: &Facts,
        bounds: Bounds,
    ) -> Result<Recorded, Error> {
        // Texts and a number always serialise.
        let facts = serde_json::to_string(facts).unwrap_or_else(|_| "{}".to_owned());
        let mut call = self.bounded(&RECORD, bounds);
        call.arg(id.as_str()).arg(reason.as_str()).arg(facts);
        let (times, is_new, forgotten) = call.invoke_async(&mut self.conn.clone()).await?;
        Ok(Recorded { times, is_new, forgotten })
    }

    /// Forgets rows that are too old, some at once. Returns how many; 0 when none is left.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn trim(&self, bounds: Bounds) -> Result<u64, Error> {
        Ok(self.bounded(&TRIM, bounds).invoke_async(&mut self.conn.clone()).await?)
    }

    /// Forgets the row of a message. Returns whether there was one. The counts stay, and the message
    /// itself is in RabbitMQ.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn erase(&self, id: &MessageId, bounds: Bounds) -> Result<bool, Error> {
        let mut call = self.bounded(&ERASE, bounds);
        call.arg(id.as_str());
        Ok(call.invoke_async(&mut self.conn.clone()).await?)
    }

    fn bounded<'a>(&self, script: &'a Script, bounds: Bounds) -> ScriptInvocation<'a> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut call = self.call(script);
        call.arg(ms(bounds.keep)).arg(bounds.keep_bytes).arg(ms(REMEMBER)).arg(MOST_NOTES).arg(AT_ONCE);
        call
    }
}
