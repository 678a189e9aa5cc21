//! The Lua scripts, and the one way to call them.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind};

use crate::redis::{
    connect::{Connection, Replicas},
    keys::{Keys, NAMES, SCHEMA},
};

/// Bytes of history that are kept with a job.
const HISTORY_BYTES: usize = 8 * 1024;

/// A job without a deadline is as urgent as one that is due a day after it
/// became ready, so that deadlines starve nobody.
const PATIENCE_US: u64 = 24 * 3600 * 1_000_000;

/// No batch is larger than this: Lua's `unpack` and the time that Redis is
/// held up by one call are bounded by it.
pub(crate) const MAX_BATCH: usize = 128;

/// Jobs of one claim. More than in other batches, because part of what a call costs is the
/// same for any number of jobs, where they share the queue above all; not more, because the
/// longest call is one of these. It should stay below 5 ms with a tick of the kernel (4 ms)
/// in it.
pub(crate) const MAX_CLAIM: usize = 160;

/// Ends of one completion, which cost less.
pub(crate) const MAX_ENDS: usize = 192;

/// No more jobs are added to an enqueue or a claim, or promoted, ended or taken over with
/// their leases by one, and no more ends are added to a completion, once those that it has
/// come to so many bytes: Redis copies each.
pub(crate) const CALL_BYTES: usize = 512 * 1024;
/// The same with a test's clock: few enough to be come to in thousands of runs.
const TEST_CALL_BYTES: usize = 64 * 1024;

/// A script in two forms: with Redis' clock, and with one that a test sets.
pub(crate) struct Pair {
    live: LazyLock<Script>,
    test: LazyLock<Script>,
}

macro_rules! source {
    ($file:literal) => {
        include_str!(concat!("scripts/", $file))
    };
}

/// Only an enqueue may be refused for want of memory: a Redis at its limit must
/// still let workers renew, finish and report, or nothing would ever free it.
macro_rules! scripts {
    ($($name:ident = $file:literal $(after [$($part:literal),*])?, $flags:literal;)*) => {
        $(
            #[doc = concat!("See `", $file, "`.")]
            pub(crate) static $name: Pair = Pair {
                live: LazyLock::new(|| build($flags, LIVE_CLOCK, CALL_BYTES, &[$($(source!($part),)*)? source!($file)])),
                test: LazyLock::new(|| build($flags, TEST_CLOCK, TEST_CALL_BYTES, &[$($(source!($part),)*)? source!($file)])),
            };
        )*
        static ALL: &[(&str, &Pair)] = &[$(($file, &$name)),*];
        #[cfg(test)]
        const SOURCES: &[(&str, &str)] = &[$(($file, source!($file))),*];
        #[cfg(test)]
        const PARTS: &[(&str, &str)] = &[$($($(($part, source!($part)),)*)?)*];
    };
}

scripts! {
    ENQUEUE = "enqueue.lua", "#!lua";
    CLAIM = "claim.lua" after ["claim/due.lua", "claim/lease.lua", "claim/turns.lua", "claim/unknown.lua"], "#!lua flags=allow-oom";
    COMPLETE = "complete.lua", "#!lua flags=allow-oom";
    RENEW = "renew.lua", "#!lua flags=allow-oom";
    WRITE = "write.lua", "#!lua flags=allow-oom";
    CHANGE = "change.lua", "#!lua flags=allow-oom";
    UNPARK = "unpark.lua", "#!lua flags=allow-oom";
    TRIM = "trim.lua", "#!lua flags=allow-oom";
    TRIM_OUTBOX = "trim_outbox.lua", "#!lua flags=allow-oom";
    LIMIT = "limit.lua", "#!lua flags=allow-oom";
    PAGE = "page.lua", "#!lua flags=allow-oom";
    PAGE_LANE = "page_lane.lua", "#!lua flags=allow-oom";
    MATCH = "match.lua", "#!lua flags=allow-oom";
    LIMITS = "limits.lua", "#!lua flags=allow-oom";
    CLOCK = "clock.lua", "#!lua flags=allow-oom";
    RECOUNT = "recount.lua", "#!lua flags=allow-oom";
    SCRUB = "scrub.lua", "#!lua flags=allow-oom";
    SCRUB_LANE = "scrub_lane.lua", "#!lua flags=allow-oom";
}

/// The file of the script that has this SHA-1, as `SLOWLOG` shows it.
pub fn script_name(sha1: &str) -> Option<&'static str> {
    ALL.iter().find(|(_, pair)| pair.live.get_hash() == sha1).map(|(file, _)| *file)
}

const LIVE_CLOCK: &str = "local function micros()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
";
const TEST_CLOCK: &str =
    "local function micros() return tonumber(redis.call('GET', CONTROL .. ':clock')) end\n";

/// What all scripts share; each part builds on those before it.
const PRELUDE: [(&str, &str); 5] = [
    ("prelude/base.lua", include_str!("scripts/prelude/base.lua")),
    ("prelude/limits.lua", include_str!("scripts/prelude/limits.lua")),
    ("prelude/order.lua", include_str!("scripts/prelude/order.lua")),
    ("prelude/lanes.lua", include_str!("scripts/prelude/lanes.lua")),
    ("prelude/ends.lua", include_str!("scripts/prelude/ends.lua")),
];

fn build(flags: &str, clock: &str, call_bytes: usize, parts: &[&str]) -> Script {
    // Locals are found faster than globals.
    let mut text =
        format!("{flags}\nlocal redis, ARGV, unpack = redis, ARGV, unpack\nlocal CONTROL = KEYS[1]\n");
    for (name, rest) in NAMES {
        text.push_str(&format!("local {name} = CONTROL .. '{rest}'\n"));
    }
    text.push_str(&format!(
        "local SCHEMA, NORMAL = '{SCHEMA}', '2'\nlocal HISTORY_BYTES, CALL_BYTES, PATIENCE_US = {HISTORY_BYTES}, {call_bytes}, {PATIENCE_US}\n"
    ));
    text.push_str(clock);
    // A function that is created here would look for each of the names among all open
    // locals. Inside another one it takes them over from that: a call costs 3 to 8 µs less.
    text.push_str("local function main()\n");
    for part in PRELUDE.iter().map(|(_, part)| part).chain(parts) {
        text.push_str(part);
    }
    text.push_str("\nend\nreturn main()\n");
    Script::new(&text)
}

/// A call being put together. Unlike the client's own builder it copies every
/// argument once, which counts when a batch carries 74 payloads.
pub(crate) struct Call {
    script: &'static Script,
    cmd: Cmd,
}

impl Call {
    /// Starts a call on a queue.
    pub(crate) fn new(script: &'static Pair, keys: &Keys) -> Self {
        let script: &'static Script = if keys.has_test_clock() { &script.test } else { &script.live };
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(2).arg(keys.control()).arg(keys.none());
        Self { script, cmd }
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, arg: impl redis::ToRedisArgs) -> &mut Self {
        self.cmd.arg(arg);
        self
    }

    /// Runs the script, loading it where Redis does not know it (yet, or any
    /// more after a restart).
    pub(crate) async fn run<T: FromRedisValue>(&self, conn: &mut Connection) -> RedisResult<T> {
        match self.cmd.query_async(conn).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(conn).await?;
                self.cmd.query_async(conn).await
            }
            result => result,
        }
    }
}

impl Call {
    /// The same, waiting until replicas have what was written. The connection
    /// must be used for nothing else.
    pub(crate) async fn run_replicated<T: FromRedisValue>(
        &self,
        conn: &mut Connection,
        keys: &Keys,
        replicas: Replicas,
    ) -> RedisResult<(T, usize)> {
        let (reply, acknowledged) = match conn.write_replicated(&self.cmd, keys.control(), replicas).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(conn).await?;
                conn.write_replicated(&self.cmd, keys.control(), replicas).await?
            }
            result => result?,
        };
        Ok((T::from_redis_value(reply)?, acknowledged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_does_and_takes() {
        for (file, source) in SOURCES {
            for part in ["-- Purpose: ", "-- KEYS: ", "-- ARGV: ", "-- Returns: "] {
                assert!(source.contains(part), "{file} lacks `{part}`");
            }
        }
    }

    /// A loop that only its own body can end has no bound that a reader sees.
    #[test]
    fn loops_are_bounded_and_nothing_is_scanned() {
        for (file, source) in SOURCES.iter().chain(PARTS).copied().chain(PRELUDE) {
            let code: Vec<&str> =
                source.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            for word in ["while true", "repeat", "'KEYS'", "'SCAN'", "'SMEMBERS'"] {
                let found = code.iter().find(|line| line.contains(word));
                assert!(found.is_none(), "{file} has `{word}`: its work would not be bounded");
            }
            // Whole ranges only with a limit; whole hashes only of a job.
            for line in source.lines().filter(|line| line.contains("'ZRANGE'") && line.contains("-inf")) {
                assert!(line.contains("'LIMIT'"), "{file}: no limit in `{line}`");
            }
            for line in source.lines().filter(|line| line.contains("'LRANGE'")) {
                assert!(
                    ["128", "127"].iter().any(|bound| line.contains(bound)),
                    "{file}: no bound in `{line}`"
                );
            }
            let whole = |line: &&str| line.contains("'HGETALL'") || line.contains("'HKEYS'");
            for line in source.lines().filter(whole) {
                assert!(line.contains("JOB") || line.contains("key)"), "{file}: `{line}`");
            }
        }
    }
}
