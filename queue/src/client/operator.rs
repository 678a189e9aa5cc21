//! The handle of a program that changes and limits jobs.

use crate::client::handle::Client;

/// Changes the jobs and limits of one queue: cancels, retries, pauses, limits. Cheap to clone;
/// clones share a connection.
///
/// ```compile_fail,E0599
/// # async fn claims(operator: upshot_queue::Operator, claim: upshot_queue::protocol::Claim<'_>) {
/// operator.claim(&claim).await; // only a worker claims
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Operator {
    pub(crate) client: Client,
}

impl Operator {
    /// An operator of the client's queue, on its connection.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, with which an operator reads and enqueues.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
