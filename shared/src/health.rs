//! What a service waits for, and the watch over Redis.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use upshot_queue::Connector;

/// The state of what a service needs, by name (`rabbitmq`, `redis`). Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Option<String>>>>,
    changed: Arc<Notify>,
}

impl Health {
    /// Nothing is needed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It works.
    pub fn up(&self, part: &str) {
        self.set(part, None);
    }

    /// It does not, and why.
    pub fn down(&self, part: &str, why: impl std::fmt::Display) {
        self.set(part, Some(why.to_string()));
    }

    fn set(&self, part: &str, state: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(part.to_owned(), state.clone());
        drop(parts);
        self.changed.notify_waiters();
        // Said once per change, not once per attempt to reconnect.
        match (before.flatten(), state) {
            (None, Some(why)) => tracing::warn!(part, %why, "waiting"),
            (Some(_), None) => tracing::info!(part, "works again"),
            _ => {}
        }
    }

    /// Returns once all of these parts have been seen to work.
    pub async fn wait_for(&self, wanted: &[&str]) {
        loop {
            let changed = self.changed.notified();
            let up = {
                let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
                wanted.iter().all(|part| matches!(parts.get(*part), Some(None)))
            };
            if up {
                return;
            }
            changed.await;
        }
    }

    /// What is missing, with the reason; empty when the service is ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|(part, why)| Some((part.clone(), why.clone()?))).collect()
    }
}

/// Asks Redis every second whether it answers and keeps the part `redis` up to
/// date; never ends.
pub async fn watch_redis(connector: Connector, health: Health) {
    let mut conn = None;
    loop {
        let answer = match &mut conn {
            Some(conn) => connector.ping(conn).await,
            None => connector.connect().map(|fresh| conn = Some(fresh)),
        };
        match (answer, &conn) {
            (Ok(()), Some(_)) => health.up("redis"),
            (Ok(()), None) => {}
            (Err(error), _) => health.down("redis", error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
