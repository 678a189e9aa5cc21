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

#[cfg(test)]
mod tests {
    use upshot_queue::QueueName;

    use super::*;

    /// The committed snapshot of the layout.
    #[test]
    fn layout_matches_the_snapshot() {
        let keys = Keys::new("upshot");
        let layout = [keys.tokens(), keys.used(), keys.seal()];
        let audit = [keys.audit().to_owned(), keys.acts(), keys.refusals(), keys.open(), keys.relay()];
        let documented = include_str!("../../docs/redis-keys.md");
        for key in layout.iter().chain(&audit) {
            assert!(documented.contains(&format!("| `{key}` |")), "docs/redis-keys.md does not list `{key}`");
        }
        assert_eq!(documented.matches("| `upshot:{@access}").count(), layout.len());
        assert_eq!(documented.matches("| `upshot:{@audit}").count(), audit.len());
    }

    #[test]
    fn no_queue_can_have_the_hash_tags() {
        for tag in ["@access", "@audit"] {
            assert!(tag.parse::<QueueName>().is_err());
        }
    }
}
