//! One RabbitMQ and one Redis for the run.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;
use upshot_servers::{RabbitOptions, RabbitServer, RedisOptions, RedisServer};

const VHOSTS: usize = 56;

/// The servers that all tests share.
#[derive(Debug)]
pub struct Servers {
    /// RabbitMQ with a vhost for each test.
    pub rabbit: RabbitServer,
    /// Redis.
    pub redis: RedisServer,
    taken: AtomicUsize,
}

impl Servers {
    /// Starts them at first use. They end with the process, however it ends.
    pub async fn get() -> &'static Self {
        static SERVERS: OnceCell<Servers> = OnceCell::const_new();
        SERVERS.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let vhosts = (0..VHOSTS).map(vhost).collect();
        let rabbit = RabbitOptions { vhosts, ephemeral: true, ..RabbitOptions::default() };
        let redis = RedisOptions { ephemeral: true, ..RedisOptions::default() };
        // They remove them at their end.
        let [in_rabbit, in_redis] = [(); 2].map(|()| tempfile::tempdir().unwrap().keep());
        let (rabbit, redis) = tokio::try_join!(
            RabbitServer::start(&in_rabbit, rabbit),
            RedisServer::start_with(&in_redis, redis)
        )
        .unwrap();
        Self { rabbit, redis, taken: AtomicUsize::new(0) }
    }

    /// A vhost that no other test has.
    pub fn vhost(&self) -> String {
        let n = self.taken.fetch_add(1, Ordering::Relaxed);
        assert!(n < VHOSTS, "more than {VHOSTS} tests: raise VHOSTS");
        vhost(n)
    }
}

fn vhost(n: usize) -> String {
    format!("test-{n}")
}
