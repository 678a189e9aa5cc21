//! The handle of a program that enqueues and reads.

use redis::{FromRedisValue, RedisError};

use crate::{
    error::Error,
    job::id::QueueName,
    redis::{
        connect::{Connection, Connector, Replicas},
        keys::Keys,
        layout::Layout,
    },
    scripts::Call,
};

/// The default limit on the size of arguments, in bytes.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// Enqueues jobs of one queue, reads them, and tells the queue what its parked jobs wait for. Cheap
/// to clone; clones share a connection.
///
/// An [`Operator`](crate::Operator) changes and limits jobs, a [`Worker`](crate::worker::Worker)
/// runs them. A producer or a bridge has neither.
/// ```compile_fail,E0599
/// # async fn claims(client: upshot_queue::Client, claim: upshot_queue::protocol::Claim<'_>) {
/// client.claim(&claim).await; // only a worker claims
/// # }
/// ```
/// ```compile_fail,E0599
/// # async fn cancels(client: upshot_queue::Client, id: upshot_queue::JobId) {
/// client.cancel(&id).await; // only an operator cancels
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) conn: Connection,
    pub(crate) keys: Keys,
    pub(crate) name: QueueName,
    pub(crate) max_payload: usize,
    /// If replicas must have enqueued jobs: how many, and a separate connection, because a wait
    /// blocks later commands.
    replicated: Option<(Connection, Replicas)>,
    layout: Layout,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with its own connection.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn new(connector: &Connector, name: QueueName) -> Result<Self, Error> {
        let queue = Self::with_connection(connector.connect()?, connector.prefix(), name);
        let replicated =
            connector.replicas().map(|replicas| Ok::<_, RedisError>((connector.connect()?, replicas)));
        Ok(Self { replicated: replicated.transpose()?, ..queue })
    }

    /// A client on a shared connection. Its enqueues wait for no replica.
    pub fn with_connection(conn: Connection, prefix: &str, name: QueueName) -> Self {
        let (keys, layout) = (Keys::new(prefix, &name), Layout::default());
        Self { conn, keys, name, max_payload: MAX_PAYLOAD, replicated: None, layout }
    }

    /// The same queue with another limit on the size of arguments, in bytes.
    #[must_use]
    pub fn with_max_payload(self, max_payload: usize) -> Self {
        Self { max_payload, ..self }
    }

    /// The same queue with a clock for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_test_clock(self) -> Self {
        Self { keys: self.keys.with_test_clock(), ..self }
    }

    /// The queue's name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The queue's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Runs a script, and waits until enough replicas have its writes.
    pub(crate) async fn run_replicated<T: FromRedisValue>(&self, call: &Call) -> Result<T, Error> {
        let Some((conn, replicas)) = &self.replicated else {
            return Ok(call.run(&mut self.conn.clone()).await?);
        };
        let (said, acknowledged) = call.run_replicated(&mut conn.clone(), &self.keys, *replicas).await?;
        if acknowledged < replicas.count {
            return Err(Error::NotReplicated { acknowledged, wanted: replicas.count });
        }
        Ok(said)
    }

    /// Compares the layout in Redis with this program's, as every script does. Call it before
    /// reading keys whose meaning depends on the layout. It costs a round trip a second.
    ///
    /// # Errors
    /// When the layouts differ, or Redis failed.
    pub(crate) async fn check_layout(&self) -> Result<(), Error> {
        match self.layout.other(&self.keys, &self.conn).await? {
            Some(found) => Err(Error::Layout { found }),
            None => Ok(()),
        }
    }
}
