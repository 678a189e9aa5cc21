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
    /// By whom its retries are, and as which act.
    pub(super) act: Option<Acting>,
}

/// An act of an operator, as groups of failures know it.
#[derive(Clone, Debug)]
pub(super) struct Acting {
    pub(super) act: String,
    pub(super) by: String,
}

/// Longer names are cut.
const LONGEST_NAME: usize = 100;

impl Acting {
    pub(super) fn new(by: &str) -> Self {
        let by = by.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        Self { act: format!("{:016x}", rand::random::<u64>()), by }
    }

    /// What `change.lua` takes for a retry after this delay (ms).
    pub(super) fn retry(&self, delay: impl std::fmt::Display) -> String {
        format!("{delay} {} {}", self.act, self.by)
    }
}

impl Operator {
    /// An operator of the client's queue, on its connection.
    pub fn new(client: Client) -> Self {
        Self { client, act: None }
    }

    /// The same operator with a name. What it retries is one act of that name in the histories of
    /// groups ([`crate::GroupHistory`]), over all its calls, and each job's history has the name.
    #[must_use]
    pub fn acting(&self, by: &str) -> Self {
        Self { client: self.client.clone(), act: Some(Acting::new(by)) }
    }

    /// The client, with which an operator reads and enqueues.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
