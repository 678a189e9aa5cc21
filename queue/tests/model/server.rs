//! One private Redis for all runs, and a queue of its own for each.

use std::time::Duration;

use tokio::sync::OnceCell;
use upshot_queue::{
    Connection, Connector, JobId, RedisOptions,
    connect::{self, Heard},
};
use upshot_servers::RedisServer;

use crate::handles::Queue;

/// A connection, which several runs use one after the other.
#[derive(Clone)]
pub struct Server {
    pub conn: Connection,
    connector: Connector,
}

/// A worker's ear: it hears what is said while it sleeps.
pub struct Listener {
    server: Server,
    channel: String,
    heard: connect::Listener,
}

impl Server {
    pub async fn connect() -> Self {
        static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
        let start = || async {
            let dir = tempfile::tempdir().unwrap().keep();
            let options = upshot_servers::RedisOptions { ephemeral: true, ..Default::default() };
            RedisServer::start_with(&dir, options).await.unwrap()
        };
        let url = REDIS.get_or_init(start).await.url();
        let options =
            RedisOptions { response_timeout: Duration::from_secs(20), ..RedisOptions::new(url, "m") };
        let connector = Connector::new(options).unwrap();
        Self { conn: connector.connect().unwrap(), connector }
    }

    pub async fn listen(&self, queue: &Queue) -> Listener {
        let channel = queue.keys().wake();
        let mut heard = self.connector.listen().await.unwrap();
        heard.subscribe(&channel).await.unwrap();
        Listener { server: self.clone(), channel, heard }
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

impl Listener {
    /// Whether workers were woken since the last time that this was asked.
    pub async fn woken(&mut self) -> bool {
        // What was said before this has come when this has come.
        const MARK: &str = "asked";
        let mut cmd = redis::cmd("PUBLISH");
        cmd.arg(&self.channel).arg(MARK).exec_async(&mut self.server.conn.clone()).await.unwrap();
        let mut woken = false;
        loop {
            match self.heard.next().await.unwrap() {
                Heard::Message(message) if message.get_payload::<String>().unwrap() == MARK => return woken,
                Heard::Message(_) => woken = true,
                Heard::Checked => {}
            }
        }
    }
}
