//! What a service waits for, and the watch over Redis.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use upshot_queue::Connector;

/// The state of what a service needs, by name (`rabbitmq`, `redis`). Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Part>>>,
    changed: Arc<Notify>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Unseen,
    Up,
    Down(String),
}

impl Health {
    /// A service that needs these parts; it is not ready before each was seen
    /// to work.
    pub fn needing(parts: &[&str]) -> Self {
        let health = Self::default();
        health.lock().extend(parts.iter().map(|part| ((*part).to_owned(), Part::Unseen)));
        health
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Part>> {
        // The map is whole after every statement that changes it.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It works.
    pub fn up(&self, part: &str) {
        self.set(part, Part::Up);
    }

    /// It does not, and why.
    pub fn down(&self, part: &str, why: impl std::fmt::Display) {
        self.set(part, Part::Down(why.to_string()));
    }

    fn set(&self, part: &str, now: Part) {
        let before = self.lock().insert(part.to_owned(), now.clone()).unwrap_or(Part::Unseen);
        self.changed.notify_waiters();
        // Said once per change, not once per attempt to reconnect.
        match (before, now) {
            (Part::Unseen | Part::Up, Part::Down(why)) => tracing::warn!(part, %why, "waiting"),
            (Part::Down(_), Part::Up) => tracing::info!(part, "works again"),
            _ => {}
        }
    }

    /// Returns once all of these parts have been seen to work.
    pub async fn wait_for(&self, wanted: &[&str]) {
        loop {
            // Before the look: a change in between is not missed.
            let changed = self.changed.notified();
            if wanted.iter().all(|part| self.lock().get(*part) == Some(&Part::Up)) {
                return;
            }
            changed.await;
        }
    }

    /// What is missing, with the reason; empty when the service is ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let why = |(part, state): (&String, &Part)| match state {
            Part::Up => None,
            Part::Unseen => Some((part.clone(), "not looked at yet".to_owned())),
            Part::Down(why) => Some((part.clone(), why.clone())),
        };
        self.lock().iter().filter_map(why).collect()
    }
}

/// Asks Redis every second whether it answers and keeps the part `redis` up to
/// date; never ends. Says once what about its configuration should be mended.
pub async fn watch_redis(connector: Connector, health: Health) {
    let mut conn = None;
    let mut advised = false;
    loop {
        let answer = match &mut conn {
            Some(conn) => connector.ping(conn).await,
            None => connector.connect().map(|fresh| conn = Some(fresh)),
        };
        match (answer, &conn) {
            (Ok(()), Some(conn)) => {
                health.up("redis");
                if !advised {
                    advised = true;
                    for advice in connector.advice(&mut conn.clone()).await {
                        tracing::warn!("{advice}");
                    }
                }
            }
            (Ok(()), None) => {}
            (Err(error), _) => health.down("redis", error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
