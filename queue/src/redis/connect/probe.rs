//! Checks whether Redis takes writes, and how it keeps them, without writing.

use std::{collections::HashMap, sync::LazyLock};

use redis::{ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind};

use super::{Connection, Connector};

/// Scripts that do nothing but may write. Redis refuses such a script wherever it would refuse a
/// write: on a replica, while it loads, when it cannot save, without the replicas that it demands,
/// and at its memory limit unless the script allows that.
static WRITES: LazyLock<Script> = LazyLock::new(|| Script::new("#!lua flags=allow-oom\nreturn 1"));
static WRITES_MORE: LazyLock<Script> = LazyLock::new(|| Script::new("#!lua\nreturn 1"));

/// The writes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// The writes of workers and operators. A full Redis takes them, because they free memory in
    /// the end.
    Work,
    /// New jobs, which a full Redis refuses.
    Jobs,
}

/// How a server persists writes, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persistence {
    /// Whether it writes an append-only file.
    pub append_only: Option<bool>,
    /// When that is forced to the disk: `always`, `everysec` or `no`.
    pub fsync: Option<String>,
}

impl Connector {
    /// Checks that Redis takes writes; on a cluster, that every master does. It writes nothing, and
    /// needs only the rights of a queue.
    ///
    /// # Errors
    /// Why Redis does not take writes; [`super::told`] describes it.
    pub async fn takes(&self, conn: &mut Connection, writes: Writes) -> RedisResult<()> {
        let script = match writes {
            Writes::Work => &WRITES,
            Writes::Jobs => &WRITES_MORE,
        };
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(0);
        match conn.everywhere(&cmd).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                script.load_async(conn).await?;
                conn.everywhere(&cmd).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    /// How each master persists writes. `None` for what a server does not tell (it forbids
    /// `CONFIG`, and perhaps `INFO`).
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn persistence(&self, conn: &mut Connection) -> RedisResult<Vec<Persistence>> {
        let mut asking = redis::cmd("CONFIG");
        asking.arg("GET").arg("appendonly").arg("appendfsync");
        let told = match conn.everywhere(&asking).await {
            Ok(told) => told,
            Err(error) if error.is_io_error() => return Err(error),
            // Managed servers forbid the question, or do not know it.
            Err(_) => return self.persistence_by_info(conn).await,
        };
        let read = |told| {
            let told: HashMap<String, String> = FromRedisValue::from_redis_value(told)?;
            let append_only = told.get("appendonly").map(|value| value == "yes");
            Ok(Persistence { append_only, fsync: told.get("appendfsync").cloned() })
        };
        told.into_iter().map(read).collect()
    }

    async fn persistence_by_info(&self, conn: &mut Connection) -> RedisResult<Vec<Persistence>> {
        let mut asking = redis::cmd("INFO");
        asking.arg("persistence");
        let told = match conn.everywhere(&asking).await {
            Ok(told) => told,
            Err(error) if error.is_io_error() => return Err(error),
            Err(_) => return Ok(vec![Persistence::default()]),
        };
        let read = |told| {
            let told = String::from_redis_value(told)?;
            let append_only = info(&told, "aof_enabled").map(|value| value == "1");
            Ok(Persistence { append_only, fsync: None })
        };
        told.into_iter().map(read).collect()
    }
}

/// A field of the reply to `INFO`.
pub fn info<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_info_is_found() {
        let told = "# Persistence\r\nloading:0\r\naof_enabled:1\r\naof_enabled_too:7\r\n";
        assert_eq!((info(told, "aof_enabled"), info(told, "aof")), (Some("1"), None));
    }
}
