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

    /// Hash: how many entries the streams of the audit log have had, and which of them are copied.
    pub fn audit(&self) -> &str {
        &self.audit
    }

    /// Stream: acts of principals, an entry for each intent and each result.
    pub fn acts(&self) -> String {
        format!("{}:acts", self.audit)
    }

    /// Stream: refusals, an entry each, and counts of further ones.
    pub fn refusals(&self) -> String {
        format!("{}:refusals", self.audit)
    }

    /// Sorted set: ids of intents without a result, by when they were written (ms).
    pub fn open(&self) -> String {
        format!("{}:open", self.audit)
    }

    /// String: the process that copies the entries.
    pub fn relay(&self) -> String {
        format!("{}:relay", self.audit)
    }
}
