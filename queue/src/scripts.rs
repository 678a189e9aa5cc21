//! The Lua scripts, and the one way to call them.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind};

use crate::connect::Connection;

/// Only an enqueue may be refused for want of memory: a Redis at its limit must
/// still let workers renew, finish and report, or nothing would ever free it.
macro_rules! script {
    ($name:ident, $file:literal, $flags:literal) => {
        #[doc = concat!("See `", $file, "`.")]
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                $flags,
                "\n",
                include_str!("scripts/prelude.lua"),
                include_str!(concat!("scripts/", $file))
            ))
        });
    };
}

script!(ENQUEUE, "enqueue.lua", "#!lua");
script!(CLAIM, "claim.lua", "#!lua flags=allow-oom");
script!(COMPLETE, "complete.lua", "#!lua flags=allow-oom");
script!(RENEW, "renew.lua", "#!lua flags=allow-oom");
script!(WRITE, "write.lua", "#!lua flags=allow-oom");
script!(RETRY, "retry.lua", "#!lua flags=allow-oom");
script!(TRIM, "trim.lua", "#!lua flags=allow-oom");

/// No batch is larger than this: Lua's `unpack` and the time that Redis is
/// held up by one call are bounded by it.
pub(crate) const MAX_BATCH: usize = 256;

/// A call being put together. Unlike the client's own builder it copies every
/// argument once, which counts when a batch carries 256 payloads.
pub(crate) struct Call {
    script: &'static Script,
    cmd: Cmd,
}

impl Call {
    /// Starts a call with its keys.
    pub(crate) fn new(script: &'static Script, keys: &[&str]) -> Self {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(keys.len());
        for key in keys {
            cmd.arg(*key);
        }
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_script_says_what_it_does_and_takes() {
        for source in [
            include_str!("scripts/enqueue.lua"),
            include_str!("scripts/claim.lua"),
            include_str!("scripts/complete.lua"),
            include_str!("scripts/renew.lua"),
            include_str!("scripts/write.lua"),
            include_str!("scripts/retry.lua"),
            include_str!("scripts/trim.lua"),
        ] {
            for part in ["-- Purpose: ", "-- KEYS: ", "-- ARGV: ", "-- Returns: "] {
                assert!(source.contains(part), "a script lacks `{part}`: {}", &source[..60]);
            }
        }
    }
}
