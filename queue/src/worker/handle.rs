//! The handle of a program that runs jobs.

use crate::client::handle::Client;

/// Claims jobs of one queue and writes how their attempts end ([`crate::protocol`]); sweeps. Cheap
/// to clone; clones share a connection. [`RedisBackend`](super::RedisBackend) makes its own.
/// ```
/// # async fn claims(worker: upshot_queue::worker::Worker, claim: upshot_queue::protocol::Claim<'_>) {
/// worker.claim(&claim).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Worker {
    pub(crate) client: Client,
}

impl Worker {
    /// A worker of the client's queue, on its connection.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, with which a worker reads and enqueues.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
