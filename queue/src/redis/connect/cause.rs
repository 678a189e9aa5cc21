//! The causes of Redis' errors, and their remedies.

use std::sync::atomic::{AtomicU8, Ordering};

use redis::{ErrorKind, RedisError};

/// The cause of an error of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// Redis cannot be reached, or does not answer.
    Away = 1,
    /// The server is a replica.
    ReadOnly,
    /// The server loads its data from the disk.
    Loading,
    /// The server cannot write to its disk, so it refuses writes.
    CannotSave,
    /// The server's memory is full.
    Full,
    /// The server has fewer replicas than its own settings demand.
    TooFewReplicas,
    /// A replica that has lost its master.
    MasterDown,
    /// A part of the cluster is not served.
    ClusterDown,
    /// A slot of the cluster is moving to another node.
    SlotMoves,
    /// A script of another program blocks the server.
    Busy,
    /// The server asks for a login.
    NoLogin,
    /// The server refuses the login.
    WrongLogin,
    /// The user lacks a right.
    NotPermitted,
    /// Anything else.
    Other,
}

impl Cause {
    /// The cause of an error.
    pub fn of(error: &RedisError) -> Self {
        match error.code() {
            Some("READONLY") => return Self::ReadOnly,
            Some("LOADING") => return Self::Loading,
            Some("MISCONF") => return Self::CannotSave,
            Some("OOM") => return Self::Full,
            Some("NOREPLICAS") => return Self::TooFewReplicas,
            Some("MASTERDOWN") => return Self::MasterDown,
            Some("CLUSTERDOWN") => return Self::ClusterDown,
            Some("TRYAGAIN" | "ASK" | "MOVED") => return Self::SlotMoves,
            Some("BUSY") => return Self::Busy,
            Some("NOAUTH") => return Self::NoLogin,
            Some("WRONGPASS") => return Self::WrongLogin,
            Some("NOPERM") => return Self::NotPermitted,
            Some(_) => return Self::Other,
            None => {}
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::WrongLogin,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Away,
            _ if error.is_io_error() || error.is_timeout() => Self::Away,
            _ => Self::Other,
        }
    }

    /// The remedy; `None` if only the error's own text helps.
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::ReadOnly => {
                "this Redis is a read-only replica (READONLY): name the master in `redis.url`, or use \
                 redis+sentinel:// or redis+cluster://, which follow a failover"
            }
            Self::Loading => {
                "Redis is loading its data from the disk (LOADING): nothing is to be done, it is used once it is ready"
            }
            Self::CannotSave => {
                "Redis cannot write to its disk and refuses writes (MISCONF): look into its log, free or repair the disk"
            }
            Self::Full => {
                "Redis is at its memory limit (OOM): keep the executors running, they free memory, or raise `maxmemory`"
            }
            Self::TooFewReplicas => {
                "Redis has fewer replicas than its `min-replicas-to-write` demands (NOREPLICAS): bring them back, or lower it"
            }
            Self::MasterDown => {
                "this replica has lost its master (MASTERDOWN): name the master in `redis.url`, or wait for a failover"
            }
            Self::ClusterDown => {
                "a part of the Redis Cluster is not served (CLUSTERDOWN): bring its nodes back, or wait for a failover"
            }
            Self::SlotMoves => {
                "the slot of the queue moves to another node of the cluster (TRYAGAIN): nothing is lost, and the queue is used again once it has moved"
            }
            Self::Busy => {
                "a script of another program holds Redis up (BUSY): wait for it, or end it with SCRIPT KILL"
            }
            Self::NoLogin => "Redis asks for a login (NOAUTH): put user and password into `redis.url`",
            Self::WrongLogin => {
                "Redis refuses the login (WRONGPASS): correct user and password in `redis.url`; \
                 behind sentinels also `redis.sentinel_user` and `redis.sentinel_password`"
            }
            Self::NotPermitted => {
                "the user may not do this (NOPERM): give it what deploy/redis/users.acl or docs/redis-acl.md lists; \
                 `redis.prefix` has to fit"
            }
            Self::Away | Self::Other => return None,
        })
    }
}

/// The error's own text, and the remedy if there is one.
pub fn told(error: &RedisError) -> String {
    match Cause::of(error).remedy() {
        Some(remedy) => format!("{remedy} [{error}]"),
        None => error.to_string(),
    }
}

/// Remembers whether a repeating loop has logged a failure, so that it logs once for each cause and
/// not for each attempt.
#[derive(Debug, Default)]
pub struct Outage(AtomicU8);

impl Outage {
    /// Notes a failure. True if it must be logged: it is the first, or has another cause than the
    /// previous failure.
    pub fn begins(&self, cause: Cause) -> bool {
        let cause = cause as u8;
        self.0.swap(cause, Ordering::Relaxed) != cause
    }

    /// Notes a success. True if a failure came before, so that the recovery must be logged.
    pub fn ends(&self) -> bool {
        // A plain read first: this is called after every success.
        self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(said: &str) -> RedisError {
        redis::parse_redis_value(format!("-{said}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn a_refusal_is_told_with_its_cause_and_remedy() {
        for (said, cause, words) in [
            ("READONLY You can't write against a read only replica.", Cause::ReadOnly, "master"),
            ("LOADING Redis is loading the dataset in memory", Cause::Loading, "nothing is to be done"),
            ("MISCONF Redis is configured to save RDB snapshots", Cause::CannotSave, "disk"),
            ("OOM command not allowed when used memory > 'maxmemory'.", Cause::Full, "maxmemory"),
            ("NOREPLICAS Not enough good replicas to write.", Cause::TooFewReplicas, "min-replicas-to-write"),
            ("MASTERDOWN Link with MASTER is down", Cause::MasterDown, "master"),
            ("CLUSTERDOWN The cluster is down", Cause::ClusterDown, "nodes"),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Cause::SlotMoves, "has moved"),
            ("BUSY Redis is busy running a script.", Cause::Busy, "SCRIPT KILL"),
            ("NOAUTH Authentication required.", Cause::NoLogin, "redis.url"),
            ("WRONGPASS invalid username-password pair", Cause::WrongLogin, "redis.url"),
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                Cause::NotPermitted,
                "redis-acl",
            ),
        ] {
            let error = error(said);
            assert_eq!(Cause::of(&error), cause, "{said}");
            let (code, _) = said.split_once(' ').unwrap();
            let told = told(&error);
            assert!(told.contains(code) && told.contains(words), "{told}");
        }
        assert_eq!(Cause::of(&error("ERR no such thing")), Cause::Other);
        let away = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!((Cause::of(&away), told(&away)), (Cause::Away, away.to_string()));
    }

    #[test]
    fn a_failure_is_said_once_for_each_cause() {
        let outage = Outage::default();
        assert!(!outage.ends());
        assert!(outage.begins(Cause::Loading));
        assert!(!outage.begins(Cause::Loading));
        assert!(outage.begins(Cause::ReadOnly));
        assert!(outage.ends() && !outage.ends());
        assert!(outage.begins(Cause::ReadOnly));
    }
}
