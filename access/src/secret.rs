//! Secrets that a browser or a program holds once: session ids, tickets, codes.

use std::fmt;

use crate::token::{Hash, random};

const BYTES: usize = 32;

/// A secret of 256 random bits. Redis holds its hash only. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new secret.
    #[expect(clippy::new_without_default, reason = "a default value that differs each time is a surprise")]
    pub fn new() -> Self {
        Self(random::<BYTES>())
    }

    /// Reads a secret; `None` when the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == BYTES * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Self(text.to_owned()))
    }

    /// The text, for its holder.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash, for Redis.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
