//! Checks whether Redis keeps acknowledged events as safely as `redis.durability` demands.

use upshot_queue::connect::Persistence;

/// What a server lacks for `redis.durability = "always"`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// The server writes no append-only file.
    #[error(
        "`redis.durability` is always, but Redis has `appendonly no`, and a restart loses jobs: set \
         `appendonly yes` and `appendfsync always` on it, or set `redis.durability` to everysec"
    )]
    NoFile,
    /// The server forces its file to the disk later.
    #[error(
        "`redis.durability` is always, but Redis has `appendfsync {fsync}`, and a power cut loses what it \
         answered last: set `appendfsync always` on it, or set `redis.durability` to everysec"
    )]
    Later {
        /// When.
        fsync: String,
    },
    /// The server does not say.
    #[error(
        "`redis.durability` is always, but Redis does not say when it writes to the disk: allow the user \
         CONFIG GET (`+config|get`), or see yourself that it has `appendonly yes` and `appendfsync always`"
    )]
    Unknown,
}

impl Shortfall {
    /// The worst shortfall of these servers.
    pub fn of(servers: &[Persistence]) -> Option<Self> {
        if servers.iter().any(|server| server.append_only == Some(false)) {
            return Some(Self::NoFile);
        }
        let later =
            servers.iter().filter_map(|server| server.fsync.as_ref()).find(|fsync| *fsync != "always");
        if let Some(fsync) = later {
            return Some(Self::Later { fsync: fsync.clone() });
        }
        let unknown = servers.iter().any(|server| server.append_only.is_none() || server.fsync.is_none());
        unknown.then_some(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_servers_counts() {
        let server = |append_only, fsync: Option<&str>| Persistence {
            append_only,
            fsync: fsync.map(ToOwned::to_owned),
        };
        let always = server(Some(true), Some("always"));
        let later = Shortfall::Later { fsync: "everysec".to_owned() };
        for (other, expected) in [
            (always.clone(), None),
            (server(Some(true), Some("everysec")), Some(later)),
            (server(Some(false), Some("always")), Some(Shortfall::NoFile)),
            (server(Some(true), None), Some(Shortfall::Unknown)),
            (server(None, None), Some(Shortfall::Unknown)),
        ] {
            assert_eq!(Shortfall::of(&[always.clone(), other]), expected);
        }
    }
}
