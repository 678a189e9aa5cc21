//! Connections to Redis that wait for it instead of failing.

use std::{collections::HashMap, time::Duration};

use redis::{
    Client, IntoConnectionInfo, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
    io::tcp::TcpSettings,
};
use socket2::TcpKeepalive;

/// A connection, until the address decides what kind.
pub type Connection = ConnectionManager;

/// Where Redis is and how patient to be with it.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port/db`.
    pub url: String,
    /// What all keys start with.
    pub prefix: String,
    /// How long to wait for an answer. A call without an answer may have been
    /// applied: nothing is acknowledged after one.
    pub response_timeout: Duration,
    /// How long to wait for a connection.
    pub connection_timeout: Duration,
}

impl RedisOptions {
    /// The given server with the default patience.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            response_timeout: Duration::from_secs(5),
            connection_timeout: Duration::from_secs(2),
        }
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    client: Client,
    options: RedisOptions,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Connector {
    /// Checks the address; connects to nothing yet.
    ///
    /// # Errors
    /// When the URL is not one of Redis.
    pub fn new(options: RedisOptions) -> RedisResult<Self> {
        // A peer that is gone without a word is noticed by the kernel: by data
        // that nobody acknowledges, and by probes where we only listen. Without
        // this it would take a quarter of an hour.
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5));
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(options.response_timeout);
        let info = options.url.as_str().into_connection_info()?.set_tcp_settings(tcp);
        Ok(Self { client: Client::open(info)?, options })
    }

    /// The same server with another patience.
    #[must_use]
    pub fn with_response_timeout(&self, response_timeout: Duration) -> Self {
        let options = RedisOptions { response_timeout, ..self.options.clone() };
        Self { client: self.client.clone(), options }
    }

    /// What all keys start with.
    pub fn prefix(&self) -> &str {
        &self.options.prefix
    }

    /// A connection that is made at first use and again after every loss. While
    /// Redis is away a call fails after a short while; the caller backs off.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn connect(&self) -> RedisResult<ConnectionManager> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(self.options.response_timeout))
            .set_connection_timeout(Some(self.options.connection_timeout))
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(3);
        ConnectionManager::new_lazy_with_config(self.client.clone(), config)
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self, conn: &mut ConnectionManager) -> RedisResult<()> {
        redis::cmd("PING").query_async(conn).await
    }

    /// What about the server's configuration should be mended, for the log.
    /// Empty also where the server does not tell.
    pub async fn advice(&self, conn: &mut ConnectionManager) -> Vec<&'static str> {
        let mut asking = redis::cmd("CONFIG");
        asking.arg("GET").arg("maxmemory-policy").arg("hash-max-listpack-value");
        // Managed servers forbid the question; that is no fault.
        let told: HashMap<String, String> = asking.query_async(conn).await.unwrap_or_default();
        let mut advice = Vec::new();
        if told.get("maxmemory-policy").is_some_and(|policy| policy != "noeviction") {
            advice.push(
                "Redis evicts keys when it is full (maxmemory-policy): jobs would be lost; set noeviction",
            );
        }
        let compact = told.get("hash-max-listpack-value").and_then(|bytes| bytes.parse::<u64>().ok());
        if compact.is_some_and(|bytes| bytes < 1024) {
            advice.push("Redis keeps each job in a hash table: set hash-max-listpack-value to 1024, a job takes a quarter less memory then");
        }
        advice
    }

    /// A connection that only listens.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn listen(&self) -> RedisResult<PubSub> {
        match tokio::time::timeout(self.options.connection_timeout, self.client.get_async_pubsub()).await {
            Ok(connected) => connected,
            Err(_) => Err((redis::ErrorKind::Io, "no connection in time").into()),
        }
    }
}

/// One page of the keys that match, where `key` is.
pub(crate) async fn scan(
    conn: &mut Connection,
    _key: &str,
    cursor: u64,
    pattern: &str,
    count: usize,
) -> RedisResult<(u64, Vec<String>)> {
    redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count).query_async(conn).await
}

/// Waits that grow from 50 ms to 2 s, for loops that must not give up.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure: waits, a little longer every time.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_millis(50 << self.failures.min(5)).min(Duration::from_secs(2));
        self.failures = self.failures.saturating_add(1);
        wait
    }
}
