//! How the outcome of a job stands, and what operators remark about it.

use serde::{Deserialize, Serialize};

use super::Job;
use crate::policy::account::Account;

/// The expectation of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The number of its route ([`crate::Client::routes`]).
    pub route: u32,
    /// By when the outcome is expected, UTC ms.
    pub due: i64,
    /// The account that it is in.
    pub account: Account,
}

/// What an operator remarks about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// When, UTC ms.
    pub at: i64,
    /// The remark: a note, a reason, or the name of an owner.
    pub text: String,
    /// The operator, as the caller says.
    pub by: String,
}

impl Job {
    /// By when its outcome is expected, UTC ms.
    pub fn expected_by(&self) -> Option<i64> {
        self.expectation.map(|expectation| expectation.due)
    }
}
