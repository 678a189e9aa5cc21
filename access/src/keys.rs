//! The keys of the slots `{@access}` and `{@audit}`.
//!
//! No queue can have these names, because `@` is not allowed in the name of a queue.
//! `docs/redis-keys.md` is the committed snapshot.

/// The keys of the slots.
#[derive(Clone, Debug)]
pub struct Keys {
    access: String,
    audit: String,
}

impl Keys {
    /// Keys below `prefix`, which separates installations on one Redis.
    pub fn new(prefix: &str) -> Self {
        Self { access: format!("{prefix}:{{@access}}"), audit: format!("{prefix}:{{@audit}}") }
    }

    /// Hash: by id, an API token, as JSON.
    pub fn tokens(&self) -> String {
        format!("{}:tokens", self.access)
    }

    /// Hash: by id of an API token, when it was last used (ms), to the minute.
    pub fn used(&self) -> String {
        format!("{}:tokens:used", self.access)
    }

    /// String: the key that seals cursors, in hexadecimal digits.
    pub fn seal(&self) -> String {
        format!("{}:seal", self.access)
    }

    /// Stream: acts of principals, an entry for each intent and each result.
    pub fn acts(&self) -> String {
        format!("{}:acts", self.audit)
    }
}
