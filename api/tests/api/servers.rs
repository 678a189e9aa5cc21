//! One Redis and one RabbitMQ for the run; they end with the process.

use tokio::sync::OnceCell;
use upshot_servers::{RabbitOptions, RabbitServer, RedisOptions, RedisServer};

/// An address at which nobody listens.
pub const NOBODY: &str = "127.0.0.1:1";

/// A Redis of a test's own.
pub async fn own_redis() -> RedisServer {
    let dir = tempfile::tempdir().unwrap().keep();
    RedisServer::start_with(&dir, RedisOptions { ephemeral: true, ..RedisOptions::default() }).await.unwrap()
}

/// The address of the Redis that tests share, each under a prefix of its own.
pub async fn redis() -> String {
    static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
    REDIS.get_or_init(own_redis).await.url()
}

/// The address of the RabbitMQ that tests share, each in one of its `VHOSTS`.
pub async fn rabbit(vhost: &str) -> String {
    static RABBIT: OnceCell<RabbitServer> = OnceCell::const_new();
    assert!(VHOSTS.contains(&vhost), "add `{vhost}` to VHOSTS");
    let start = || async {
        let dir = tempfile::tempdir().unwrap().keep();
        let vhosts = VHOSTS.map(str::to_owned).into();
        RabbitServer::start(&dir, RabbitOptions { vhosts, ephemeral: true, ..RabbitOptions::default() })
            .await
            .unwrap()
    };
    RABBIT.get_or_init(start).await.url(vhost)
}

/// A virtual host for each test that needs RabbitMQ.
const VHOSTS: [&str; 7] = ["structured", "binary", "redis-away", "ready", "unique", "conflict", "not-yet"];
