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

    /// String: the key that signs capability links, in hexadecimal digits.
    pub fn key(&self) -> String {
        format!("{}:key", self.access)
    }

    /// Sorted set: ids of revoked capability links, by the time of their expiry (ms).
    pub fn revoked(&self) -> String {
        format!("{}:revoked", self.access)
    }

    /// Hash: a session, by the SHA-256 of its id.
    pub fn session(&self, hash: &str) -> String {
        format!("{}{hash}", self.sessions())
    }

    /// What the keys of sessions begin with.
    pub fn sessions(&self) -> String {
        format!("{}:sessions:", self.access)
    }

    /// Hash: the sessions and tokens of a person, by the SHA-256 of its issuer and subject.
    pub fn person(&self, hash: &str) -> String {
        format!("{}{hash}", self.people())
    }

    /// What the keys of people begin with.
    pub fn people(&self) -> String {
        format!("{}:people:", self.access)
    }

    /// String: a value that is taken once, by the SHA-256 of its secret.
    pub fn once(&self, hash: &str) -> String {
        format!("{}:once:{hash}", self.access)
    }

    /// String: that a one-time administrator token was made within the hour.
    pub fn first(&self) -> String {
        format!("{}:first", self.access)
    }

    /// Hash: a device that asks for a login, by the SHA-256 of its code.
    pub fn device(&self, hash: &str) -> String {
        format!("{}{hash}", self.devices())
    }

    /// What the keys of devices begin with.
    pub fn devices(&self) -> String {
        format!("{}:devices:", self.access)
    }

    /// String: the hash of a device's code, by the SHA-256 of the code that its person types.
    pub fn device_code(&self, hash: &str) -> String {
        format!("{}:devices:typed:{hash}", self.access)
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
        let layout = [
            keys.tokens(),
            keys.used(),
            keys.seal(),
            keys.key(),
            keys.revoked(),
            keys.session("<hash>"),
            keys.person("<hash>"),
            keys.once("<hash>"),
            keys.first(),
            keys.device("<hash>"),
            keys.device_code("<hash>"),
        ];
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
