//! One private Redis for all runs, and a queue of its own for each.

use std::time::Duration;

use tokio::sync::OnceCell;
use upshot_local::RedisServer;
use upshot_queue::{Connection, Connector, JobId, Queue, RedisOptions};

/// A connection, which several runs use one after the other.
#[derive(Clone)]
pub struct Server {
    pub conn: Connection,
}

impl Server {
    pub async fn connect() -> Self {
        static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
        let start = || async {
            let dir = tempfile::tempdir().unwrap().keep();
            let options = upshot_local::RedisOptions { ephemeral: true, ..Default::default() };
            RedisServer::start_with(&dir, options).await.unwrap()
        };
        let url = REDIS.get_or_init(start).await.url();
        let options =
            RedisOptions { response_timeout: Duration::from_secs(20), ..RedisOptions::new(url, "m") };
        Self { conn: Connector::new(options).unwrap().connect().unwrap() }
    }

    /// A queue that nobody has used, with a clock that is to be set.
    pub fn queue(&self) -> Queue {
        let prefix = format!("m{}", JobId::random());
        Queue::with_connection(self.conn.clone(), &prefix, "work".parse().unwrap()).with_test_clock()
    }

    /// Sets the clock of a queue, in µs.
    pub async fn set_clock(&self, queue: &Queue, us: u64) {
        let mut cmd = redis::cmd("SET");
        cmd.arg(queue.keys().clock()).arg(us).exec_async(&mut self.conn.clone()).await.unwrap();
    }

    /// All keys of a queue, without what they start with.
    pub async fn keys(&self, queue: &Queue) -> Vec<String> {
        let control = queue.keys().control();
        let mut cmd = redis::cmd("KEYS");
        cmd.arg(format!("{control}*"));
        let keys: Vec<String> = cmd.query_async(&mut self.conn.clone()).await.unwrap();
        keys.into_iter().filter_map(|key| key.strip_prefix(control).map(ToOwned::to_owned)).collect()
    }

    /// Removes all that a queue has left.
    pub async fn remove(&self, queue: &Queue) {
        let mut cmd = redis::cmd("UNLINK");
        cmd.arg(queue.keys().control());
        for key in self.keys(queue).await {
            cmd.arg(format!("{}{key}", queue.keys().control()));
        }
        cmd.exec_async(&mut self.conn.clone()).await.unwrap();
    }
}
