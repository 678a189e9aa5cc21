//! Names: of a job and of a queue.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An invalid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a job id.
    #[error("`{0}` is not a job id: 26 characters of a-z and 2-7 are expected")]
    Job(String),
    /// Not a queue name.
    #[error("`{0}` is not a queue name: 1 to 48 characters of a-z, 0-9, `-` and `_` are expected")]
    Queue(String),
}

/// A job's name: 128 bits, written as 26 characters of lower-case base32.
///
/// An id that follows from the identity of the work makes enqueueing idempotent while the job is
/// kept, without another key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    #[expect(clippy::expect_used, reason = "32 distinct symbols are a valid specification")]
    spec.encoding().expect("32 symbols")
});

impl JobId {
    /// The id of the work that these parts identify. Parts are length-prefixed,
    /// so that `("a", "bc")` and `("ab", "c")` differ.
    pub fn derive(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Self(BASE32.encode(digest.get(..16).unwrap_or_default()))
    }

    /// A fresh id, sorted by time.
    pub fn random() -> Self {
        Self(BASE32.encode(uuid::Uuid::now_v7().as_bytes()))
    }

    /// The 26 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes an id from Redis, which has only well-formed ids.
    pub(crate) fn trusted(id: String) -> Self {
        Self(id)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let ok = s.len() == 26 && s.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b));
        if ok { Ok(Self(s.to_owned())) } else { Err(IdError::Job(s.to_owned())) }
    }
}

impl TryFrom<String> for JobId {
    type Error = IdError;

    fn try_from(s: String) -> Result<Self, IdError> {
        s.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A queue's name; it becomes the hash tag of the queue's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(String);

impl QueueName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueName {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let ok = (1..=48).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if ok { Ok(Self(s.to_owned())) } else { Err(IdError::Queue(s.to_owned())) }
    }
}

impl TryFrom<String> for QueueName {
    type Error = IdError;

    fn try_from(s: String) -> Result<Self, IdError> {
        s.parse()
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> Self {
        name.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_stable_and_depend_on_where_parts_end() {
        let id = JobId::derive(&["invoices", "invoice.issue", "/shops/berlin", "1"]);
        assert_eq!(id, JobId::derive(&["invoices", "invoice.issue", "/shops/berlin", "1"]));
        assert_ne!(JobId::derive(&["a", "bc"]), JobId::derive(&["ab", "c"]));
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(id.as_str().len(), 26);
    }

    #[test]
    fn bad_names_are_named() {
        assert_eq!("x".parse::<JobId>(), Err(IdError::Job("x".into())));
        assert!("Invoices{}".parse::<QueueName>().is_err());
        assert!("".parse::<QueueName>().is_err());
        assert!("invoices-2".parse::<QueueName>().is_ok());
    }
}
