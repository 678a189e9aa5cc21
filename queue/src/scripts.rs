//! The Lua scripts, and the only way to call them.

#[cfg(test)]
mod checks;
mod compose;
mod crash;
mod policy;
#[cfg(test)]
mod pure;

use std::sync::LazyLock;

use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, Value, aio::ConnectionLike,
};

use crate::redis::{
    connect::{Connection, Replicas},
    keys::Keys,
};
use compose::{Clock, compose};
pub use crash::wrote as crash_point;
pub(crate) use policy::{
    CALL_BYTES, CLOCKS_MS, DUE_IDS, GROUP_HOURS_KEPT, LANES_AT_MOST, MAX_BATCH, MAX_CLAIM, MAX_ENDS,
    MAX_SCHEDULES, RESERVATIONS_GIVEN_UP,
};

/// A script in two forms: with Redis' clock, and with a clock that a test sets.
pub(crate) struct Pair {
    live: LazyLock<Script>,
    test: LazyLock<Script>,
    /// The live form.
    #[cfg(test)]
    text: LazyLock<String>,
}

macro_rules! source {
    ($file:literal) => {
        include_str!(concat!("scripts/", $file))
    };
}

macro_rules! scripts {
    ($($name:ident = $file:literal, $flags:ident;)*) => {
        $(
            #[doc = concat!("See `", $file, "`.")]
            pub(crate) static $name: Pair = Pair {
                live: LazyLock::new(|| Script::new(&compose($flags, Clock::Live, source!($file)))),
                test: LazyLock::new(|| Script::new(&compose($flags, Clock::Test, source!($file)))),
                #[cfg(test)]
                text: LazyLock::new(|| compose($flags, Clock::Live, source!($file))),
            };
        )*
        static ALL: &[(&str, &Pair)] = &[$(($file, &$name)),*];
        #[cfg(test)]
        const SOURCES: &[(&str, &str)] = &[$(($file, source!($file))),*];
    };
}

/// Redis refuses the script at its memory limit.
const NEEDS_MEMORY: &str = "#!lua";
/// Redis always runs the script. At its memory limit it must still let workers renew, finish and
/// report, because only that frees memory.
const ALWAYS: &str = "#!lua flags=allow-oom";

scripts! {
    ENQUEUE = "enqueue.lua", NEEDS_MEMORY;
    FIRE = "fire.lua", NEEDS_MEMORY;
    MAINTAIN = "maintain.lua", ALWAYS;
    CLAIM = "claim.lua", ALWAYS;
    COMPLETE = "complete.lua", ALWAYS;
    RENEW = "renew.lua", ALWAYS;
    WRITE = "write.lua", ALWAYS;
    CHANGE = "change.lua", ALWAYS;
    UNPARK = "unpark.lua", ALWAYS;
    SIGNAL = "signal.lua", ALWAYS;
    WITHDRAW = "withdraw.lua", ALWAYS;
    TRIM_SIGNALS = "trim_signals.lua", ALWAYS;
    TRIM = "trim.lua", ALWAYS;
    TRIM_OUTBOX = "trim_outbox.lua", ALWAYS;
    TRIM_VERDICTS = "trim_verdicts.lua", ALWAYS;
    OVERDUE = "overdue.lua", ALWAYS;
    BALANCE = "balance.lua", ALWAYS;
    AUDIT = "audit.lua", ALWAYS;
    ERASE = "erase.lua", ALWAYS;
    LIMIT = "limit.lua", ALWAYS;
    PAGE = "page.lua", ALWAYS;
    PAGE_LANE = "page_lane.lua", ALWAYS;
    MATCH = "match.lua", ALWAYS;
    BRIEF = "brief.lua", ALWAYS;
    LIMITS = "limits.lua", ALWAYS;
    CONFIGURE = "configure.lua", ALWAYS;
    SCHEDULES = "schedules.lua", ALWAYS;
    SCHEDULE = "schedule.lua", ALWAYS;
    SET_SCHEDULES = "set_schedules.lua", NEEDS_MEMORY;
    CLOCK = "clock.lua", ALWAYS;
    COUNT_CLOCKS = "count_clocks.lua", ALWAYS;
    OLDEST = "oldest.lua", ALWAYS;
    STANDING = "standing.lua", ALWAYS;
    OPERATION = "operation.lua", ALWAYS;
    SURVEY = "survey.lua", ALWAYS;
    WORKER = "worker.lua", ALWAYS;
    WORKERS = "workers.lua", ALWAYS;
    RECOUNT = "recount.lua", ALWAYS;
    SCRUB = "scrub.lua", ALWAYS;
    SCRUB_LANE = "scrub_lane.lua", ALWAYS;
}

/// The file of the script with this SHA-1, which `SLOWLOG` shows.
pub fn script_name(sha1: &str) -> Option<&'static str> {
    ALL.iter().find(|(_, pair)| pair.live.get_hash() == sha1).map(|(file, _)| *file)
}

/// A call under construction. Unlike the client's own builder it copies each argument once, which
/// matters for a batch with 74 payloads.
pub(crate) struct Call {
    script: &'static Script,
    cmd: Cmd,
    is_write: bool,
}

impl Call {
    /// Starts a call on a queue.
    pub(crate) fn new(script: &'static Pair, keys: &Keys) -> Self {
        let is_write = crash::is_write(script);
        let script: &'static Script = if keys.has_test_clock() { &script.test } else { &script.live };
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(2).arg(keys.control()).arg(keys.none());
        Self { script, cmd, is_write }
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, arg: impl redis::ToRedisArgs) -> &mut Self {
        self.cmd.arg(arg);
        self
    }

    /// Runs the script, and loads it first if Redis does not know it.
    pub(crate) async fn run<T: FromRedisValue>(&self, conn: &mut Connection) -> RedisResult<T> {
        let result = match self.cmd.query_async(conn).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(conn).await?;
                self.cmd.query_async(conn).await
            }
            result => result,
        };
        if self.is_write && result.is_ok() {
            crash::wrote();
        }
        result
    }

    /// Runs the script after another one, in one round trip and on one server. Neither needs the
    /// other's reply, and each is loaded if Redis does not know it. Returns both replies.
    pub(crate) async fn run_behind(&self, first: &Self, conn: &mut Connection) -> RedisResult<[Value; 2]> {
        let mut pipe = redis::pipe();
        pipe.add_command(first.cmd.clone()).add_command(self.cmd.clone());
        let mut replies = conn.req_packed_commands(&pipe, 0, 2).await?.into_iter();
        let mut replied = [first, self].map(|call| (call, replies.next().unwrap_or(Value::Nil)));
        for (call, reply) in &mut replied {
            if is_unknown(reply) {
                call.script.load_async(conn).await?;
                *reply = call.cmd.query_async(conn).await?;
            }
        }
        Ok(replied.map(|(_, reply)| reply))
    }

    /// Runs the script, and waits until replicas have the writes. Use the connection for nothing
    /// else.
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
        crash::wrote();
        Ok((T::from_redis_value(reply)?, acknowledged))
    }
}

/// Whether Redis replied that it does not know the script.
fn is_unknown(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}
