//! Connections to Redis that wait for it instead of failing.
//!
//! The address says how the servers are organised ([`Address`]), and [`Connection`] hides it. A
//! call that a failover or a restart interrupts fails once. Every script may be repeated, so the
//! caller's next call continues.
//!
//! `docs/redis-acl.md` lists the rights of an ACL user, and tests log in as that user.

mod address;
mod backoff;
mod cause;
mod connection;
mod endpoint;
mod installation;
mod lazy;
mod listener;
mod options;
mod probe;
mod sentinel;
mod target;

use std::{collections::HashMap, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
};

pub use address::{Address, AddressError, Mode, Node};
pub use backoff::Backoff;
pub use cause::{Cause, Outage, told};
pub use connection::Connection;
pub use installation::installation_key;
pub use listener::{Heard, Listener};
pub use options::{Login, Logins, RedisOptions, Replicas};
pub use probe::{Persistence, Writes, info};

use connection::{Kind, bounded_wait, explained};
use endpoint::unusable;
use lazy::Lazy;
use target::Target;

/// Attempts to reach a server within one call, and the waits between them.
const RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    target: Target,
    options: RedisOptions,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Connector {
    /// Checks the address and reads the certificates. It does not connect yet.
    ///
    /// # Errors
    /// When the address or a certificate cannot be used.
    pub fn new(options: RedisOptions) -> RedisResult<Self> {
        let target = Target::new(&options)?;
        // An invalid certificate is reported here, not at the first use.
        target.nodes().iter().try_for_each(|node| target.endpoint.client(node).map(drop))?;
        Ok(Self { target, options })
    }

    /// The same servers with other time limits.
    #[must_use]
    pub fn with_response_timeout(&self, response_timeout: Duration) -> Self {
        let options = RedisOptions { response_timeout, ..self.options.clone() };
        Self { options, ..self.clone() }
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &str {
        &self.options.prefix
    }

    /// How long a call waits for a reply. A call that blocks must wait for less.
    pub fn response_timeout(&self) -> Duration {
        self.options.response_timeout
    }

    /// How many replicas must hold an enqueued job; `None` for none. For
    /// [`Connection::write_replicated`].
    pub fn replicas(&self) -> Option<Replicas> {
        let RedisOptions { replicas: count, replicas_timeout, response_timeout, .. } = self.options;
        let timeout = bounded_wait(replicas_timeout, response_timeout);
        (count > 0).then_some(Replicas { count, timeout })
    }

    /// A connection that is made at first use and again after every loss. While
    /// Redis is away a call fails after a short while; the caller backs off.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn connect(&self) -> RedisResult<Connection> {
        let connector = self.clone();
        Ok(Connection::new(match (&self.target.address.mode, &self.options.logins) {
            (Mode::Single(_), None) => Kind::Single(Lazy::new(move || {
                let managed = connector.managed();
                async move { managed }
            })),
            (Mode::Single(_) | Mode::Sentinel { .. }, _) => Kind::Master(Lazy::new(move || {
                let connector = connector.clone();
                async move { connector.master().await.map(|(_, conn)| conn) }
            })),
            (Mode::Cluster(_), _) => Kind::Cluster(Lazy::new(move || {
                let connector = connector.clone();
                async move { connector.cluster()?.get_async_connection().await }
            })),
        }))
    }

    /// The servers and the login for a new connection.
    fn target(&self) -> RedisResult<Target> {
        self.target.current(&self.options)
    }

    /// A connection to the one server that connects again by itself, always with the same login.
    fn managed(&self) -> RedisResult<ConnectionManager> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(self.options.response_timeout))
            .set_connection_timeout(Some(self.options.connection_timeout))
            .set_min_delay(FIRST_WAIT)
            .set_max_delay(LONGEST_WAIT)
            .set_number_of_retries(RETRIES as usize);
        let [node] = self.target.nodes() else { return Err(unusable("name one host".to_owned())) };
        ConnectionManager::new_lazy_with_config(self.target.endpoint.client(node)?, config)
    }

    /// A client of the one server, or of the one that the sentinels name the master, and a
    /// connection to it.
    async fn master(&self) -> RedisResult<(Client, MultiplexedConnection)> {
        let target = self.target()?;
        if let Some(sentinels) = &target.sentinels {
            return sentinels.connect(self.options.response_timeout).await;
        }
        let [node] = target.nodes() else { return Err(unusable("name one host".to_owned())) };
        let client = target.endpoint.client(node)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connection_timeout))
            .set_response_timeout(Some(self.options.response_timeout));
        let conn = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok((client, conn))
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let target = self.target()?;
        let endpoint = &target.endpoint;
        let infos = target.nodes().iter().map(|node| endpoint.info(node)).collect::<RedisResult<Vec<_>>>()?;
        let ms = |wait: Duration| wait.as_millis() as u64;
        let builder = ClusterClientBuilder::new(infos)
            .response_timeout(self.options.response_timeout)
            .connection_timeout(self.options.connection_timeout)
            .tcp_settings(endpoint.tcp())
            .retries(RETRIES)
            .retry_wait_formula(ms(FIRST_WAIT), 2)
            .min_retry_wait(ms(FIRST_WAIT))
            .max_retry_wait(ms(LONGEST_WAIT));
        match endpoint.certificates() {
            Some(certificates) => builder.certs(certificates.clone()),
            None => builder,
        }
        .build()
    }

    /// Checks that Redis answers; on a cluster, that every master does.
    ///
    /// # Errors
    /// Why Redis does not answer.
    pub async fn ping(&self, conn: &mut Connection) -> RedisResult<()> {
        redis::cmd("PING").query_async(conn).await
    }

    /// What about the server's configuration should be changed, for the log.
    /// Empty also where the server does not tell. One node speaks for a cluster.
    pub async fn advice(&self, conn: &mut Connection) -> Vec<&'static str> {
        let mut asking = redis::cmd("CONFIG");
        asking.arg("GET").arg("maxmemory-policy").arg("hash-max-listpack-value");
        // Managed servers forbid the question, which is not an error.
        let told = conn.anywhere(&asking).await.and_then(|told| Ok(FromRedisValue::from_redis_value(told)?));
        let told: HashMap<String, String> = told.unwrap_or_default();
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

    /// A connection that only listens, to the master or to any node of a cluster, because the nodes
    /// forward messages to each other. It ends with its server, also when the server is demoted,
    /// because sentinels then close the connections of listeners. The caller then opens another.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn listen(&self) -> RedisResult<Listener> {
        let target = self.target()?;
        if let Some(sentinels) = &target.sentinels {
            let (master, _) = sentinels.connect(self.options.response_timeout).await.map_err(explained)?;
            return self.listen_to(&master).await;
        }
        let mut why = None;
        // A different node first each time, so that listeners spread out.
        let nodes = target.nodes();
        let start = rand::random_range(0..nodes.len().max(1));
        for node in nodes.iter().cycle().skip(start).take(nodes.len()) {
            match self.listen_to(&target.endpoint.client(node)?).await {
                Ok(listening) => return Ok(listening),
                Err(error) => why = Some(error),
            }
        }
        Err(why.unwrap_or_else(|| unusable("name at least one host".to_owned())))
    }

    async fn listen_to(&self, client: &Client) -> RedisResult<Listener> {
        match tokio::time::timeout(self.options.connection_timeout, client.get_async_pubsub()).await {
            Ok(connected) => {
                let connection = connected.map_err(explained)?;
                Ok(Listener::new(connection, self.options.response_timeout))
            }
            Err(_) => Err((redis::ErrorKind::Io, "no connection in time").into()),
        }
    }
}
