//! How the outcome of a job stands, and what operators remark about it.

use serde::{Deserialize, Serialize};

use super::{Job, MAX_NAME};
use crate::{policy::account::Account, redis::clock::utc_ms};

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

/// A remark that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {bytes} bytes: use 1 to {most}")]
pub struct BadRemark {
    /// Which part: the text, or the name of the operator.
    pub what: &'static str,
    /// How long it is.
    pub bytes: usize,
    /// The limit.
    pub most: usize,
}

/// The longest text of a remark, in bytes.
pub const MAX_REMARK: usize = 1024;

impl Remark {
    /// A remark that an operator makes now.
    ///
    /// # Errors
    /// When the text or the operator's name is empty or too long.
    pub fn new(text: impl Into<String>, by: impl Into<String>) -> Result<Self, BadRemark> {
        let remark = Self { at: utc_ms(), text: text.into(), by: by.into() };
        for (what, value, most) in [("the text", &remark.text, MAX_REMARK), ("`by`", &remark.by, MAX_NAME)] {
            let bytes = value.len();
            if value.trim().is_empty() || bytes > most {
                return Err(BadRemark { what, bytes, most });
            }
        }
        Ok(remark)
    }

    pub(crate) fn stored(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Job {
    /// By when its outcome is expected, UTC ms.
    pub fn expected_by(&self) -> Option<i64> {
        self.expectation.map(|expectation| expectation.due)
    }
}
