//! The one place that names Redis keys and channels.
//!
//! All keys of a queue share the hash tag `{queue}`, so a script touches one
//! slot of a Redis Cluster. `docs/redis-keys.md` is the committed snapshot.

use crate::id::{JobId, QueueName};

/// The keys of one queue.
#[derive(Clone, Debug)]
pub struct Keys {
    base: String,
}

impl Keys {
    /// Keys below `prefix`, which separates installations on one Redis.
    pub fn new(prefix: &str, queue: &QueueName) -> Self {
        Self { base: format!("{prefix}:{{{queue}}}:") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// What every job's key starts with.
    pub fn job_prefix(&self) -> String {
        self.key("job:")
    }

    /// Hash: one job. Fields are listed in [`crate::job`].
    pub fn job(&self, id: &JobId) -> String {
        format!("{}job:{id}", self.base)
    }

    /// Sorted set: ids by the order in which they run (microseconds).
    pub fn ready(&self) -> String {
        self.key("ready")
    }

    /// Sorted set: ids by the ms at which they become ready.
    pub fn scheduled(&self) -> String {
        self.key("scheduled")
    }

    /// Sorted set: ids by the ms at which their lease expires.
    pub fn running(&self) -> String {
        self.key("running")
    }

    /// Sorted set: ids by the ms at which they succeeded.
    pub fn succeeded(&self) -> String {
        self.key("succeeded")
    }

    /// Sorted set: ids by the ms at which they died.
    pub fn dead(&self) -> String {
        self.key("dead")
    }

    /// Sorted set, all scores 0: `subject NUL id`, read by prefix.
    pub fn subjects(&self) -> String {
        self.key("subjects")
    }

    /// Hash: counters of transitions.
    pub fn stats(&self) -> String {
        self.key("stats")
    }

    /// String: number and ids of a worker's last claim, for two leases.
    pub fn claim(&self, worker: &str) -> String {
        format!("{}claim:{worker}", self.base)
    }

    /// Channel: there may be work for a worker that sleeps.
    pub fn wake(&self) -> String {
        self.key("wake")
    }

    /// Channel: ids of jobs that changed, separated by blanks.
    pub fn changes(&self) -> String {
        self.key("changes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed snapshot of the layout. Changing it orphans stored jobs.
    #[test]
    fn layout_matches_the_snapshot() {
        let keys = Keys::new("upshot", &"invoices".parse().unwrap());
        let id: JobId = "aaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        let layout = [
            keys.job(&id),
            keys.ready(),
            keys.scheduled(),
            keys.running(),
            keys.succeeded(),
            keys.dead(),
            keys.subjects(),
            keys.stats(),
            keys.claim("4711-8d3fa0b2"),
            keys.wake(),
            keys.changes(),
        ];
        let documented = include_str!("../../docs/redis-keys.md");
        for key in layout {
            assert!(key.contains("{invoices}"), "{key} has no hash tag");
            assert!(documented.contains(&format!("`{key}`")), "docs/redis-keys.md does not list `{key}`");
        }
        assert_eq!(documented.matches("| `upshot:{invoices}:").count(), 11);
    }
}
