//! The keys of the ledger's own slot.
//!
//! A queue's part of the ledger stands in the queue's slot (`upshot_queue::keys`). What belongs to no
//! queue stands here. All keys share the hash tag `{@ledger}`, so a script touches one slot of a
//! Redis Cluster. No queue can have that name, because `@` is not allowed in the name of a queue.
//!
//! Every script names all keys that it uses, so a cluster that moves the slot refuses a script
//! before its first write.
//!
//! `docs/redis-keys.md` is the committed snapshot.

/// The version of the layout of keys and fields. Scripts refuse another version.
pub const SCHEMA: u32 = 1;

/// The keys of the ledger's own slot.
#[derive(Clone, Debug)]
pub struct Keys {
    control: String,
}

impl Keys {
    /// Keys below `prefix`, which separates installations on one Redis.
    pub fn new(prefix: &str) -> Self {
        Self { control: format!("{prefix}:{{@ledger}}") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.control)
    }

    /// Hash: the `schema`; the `bytes` of the rows of quarantine, and the `copies` that they stand
    /// for.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Hash: the book of the bridge, `from>to|reason` to a monotone count.
    pub fn book(&self) -> String {
        self.key("book")
    }

    /// Sorted set: ids of messages in quarantine by when each one first came (µs); no two scores are
    /// equal.
    pub fn quarantine(&self) -> String {
        self.key("quarantine")
    }

    /// Hash: by id, a row about a message in quarantine.
    pub fn rows(&self) -> String {
        self.key("quarantine:rows")
    }

    /// Sorted set: ids of counted messages whose rows are forgotten, by until when (ms) the note is
    /// kept.
    pub fn notes(&self) -> String {
        self.key("quarantine:notes")
    }

    /// Hash: the state of alarms, and which process may change it.
    pub fn alarms(&self) -> String {
        self.key("alarms")
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
            keys.control().to_owned(),
            keys.book(),
            keys.quarantine(),
            keys.rows(),
            keys.notes(),
            keys.alarms(),
        ];
        let documented = include_str!("../../docs/redis-keys.md");
        for key in &layout {
            assert!(key.contains("{@ledger}"), "{key} has no hash tag");
            assert!(documented.contains(&format!("| `{key}` |")), "docs/redis-keys.md does not list `{key}`");
        }
        assert_eq!(documented.matches("| `upshot:{@ledger}").count(), layout.len());
    }

    #[test]
    fn no_queue_can_have_the_hash_tag() {
        assert!("@ledger".parse::<QueueName>().is_err());
    }
}
