//! What a service waits for, and the watch over Redis.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use upshot_queue::{
    Connection, Connector,
    connect::{Cause, Writes, told},
};

use crate::{durability::Shortfall, settings::Durability};

/// How often the watch checks Redis.
const LOOK: Duration = Duration::from_secs(1);
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// The part that says whether Redis answers and takes writes.
pub const REDIS: &str = "redis";
/// The part that says whether Redis takes new jobs.
pub const ENQUEUE: &str = "enqueue";
/// The part that says whether Redis keeps jobs as safely as `redis.durability` demands.
pub const DURABILITY: &str = "durability";
/// The warning that Redis has other data than before.
pub const INSTALLATION: &str = "installation";

/// The state of the parts that a service needs, by name (`rabbitmq`, `redis`), and its warnings.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    parts: BTreeMap<String, Part>,
    warnings: BTreeMap<String, String>,
    /// The installation id of the data at the last check.
    installation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Unseen,
    Up,
    Down {
        why: String,
        /// The common part of the reasons of one state.
        cause: Option<Cause>,
    },
}

impl Part {
    /// Why the part is missing, if it is.
    fn why(&self) -> Option<String> {
        match self {
            Self::Up => None,
            Self::Unseen => Some("not looked at yet".to_owned()),
            Self::Down { why, .. } => Some(why.clone()),
        }
    }
}

impl Health {
    /// The health of a service that needs these parts. It is not ready before each part was seen to
    /// work.
    pub fn needing(parts: &[&str]) -> Self {
        let health = Self::default();
        health.lock().parts.extend(parts.iter().map(|part| ((*part).to_owned(), Part::Unseen)));
        health
    }

    /// Notes that the service needs a further part, which is not seen yet.
    pub fn need(&self, part: &str) {
        self.lock().parts.entry(part.to_owned()).or_insert(Part::Unseen);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the maps consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a part works.
    pub fn up(&self, part: &str) {
        self.set(part, Part::Up);
    }

    /// Notes that a part is missing, and why.
    pub fn down(&self, part: &str, why: impl std::fmt::Display) {
        self.set(part, Part::Down { why: why.to_string(), cause: None });
    }

    /// Notes that a part is missing because of Redis, and why.
    pub fn down_by_redis(&self, part: &str, error: &redis::RedisError) {
        self.set(part, Part::Down { why: told(error), cause: Some(Cause::of(error)) });
    }

    fn set(&self, part: &str, now: Part) {
        let before = self.lock().parts.insert(part.to_owned(), now.clone()).unwrap_or(Part::Unseen);
        self.changed.notify_waiters();
        // Logged once for each state, not once for each attempt.
        match (before, now) {
            (Part::Unseen | Part::Up, Part::Down { why, .. }) => tracing::warn!(part, %why, "waiting"),
            (Part::Down { cause: Some(before), .. }, Part::Down { why, cause: Some(now) })
                if before != now =>
            {
                tracing::warn!(part, %why, "still waiting");
            }
            (Part::Down { .. }, Part::Up) => tracing::info!(part, "works again"),
            _ => {}
        }
    }

    /// Marks a needed part as unseen, so that it must be checked again.
    fn forget(&self, part: &str) {
        if let Some(state @ Part::Up) = self.lock().parts.get_mut(part) {
            *state = Part::Unseen;
        }
    }

    /// Returns once all of these parts have been seen to work.
    pub async fn wait_for(&self, wanted: &[&str]) {
        loop {
            // Subscribes before the check, so that no change is missed.
            let changed = self.changed.notified();
            if wanted.iter().all(|part| self.lock().parts.get(*part) == Some(&Part::Up)) {
                return;
            }
            changed.await;
        }
    }

    /// Why a part is missing; `None` while it works or is not needed.
    pub fn why_missing(&self, part: &str) -> Option<String> {
        self.lock().parts.get(part).and_then(Part::why)
    }

    /// What is missing, with the reason; empty when the service is ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let why = |(part, state): (&String, &Part)| Some((part.clone(), state.why()?));
        self.lock().parts.iter().filter_map(why).collect()
    }

    /// The warnings of the service, by name.
    pub fn warnings(&self) -> BTreeMap<String, String> {
        self.lock().warnings.clone()
    }

    /// Raises a warning once. The service stays ready.
    pub fn warn(&self, name: &str, why: &str) {
        let before = self.lock().warnings.insert(name.to_owned(), why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::warn!(warning = name, "{why}");
        }
    }

    /// Ends a warning.
    pub fn clear_warning(&self, name: &str) {
        self.lock().warnings.remove(name);
    }

    /// Compares the installation id in Redis with the previous one. The alarm stays until a restart
    /// of the process, because a later check does not find what is lost.
    fn installation(&self, found: &str) {
        let before = self.lock().installation.replace(found.to_owned());
        let lost = metrics::counter!("upshot_redis_installation_lost_total");
        let alarm = metrics::gauge!("upshot_redis_installation_lost");
        match before {
            Some(before) if before != found => {
                lost.increment(1);
                alarm.set(1.0);
                let why = format!(
                    "the data in Redis are gone or were replaced while this process ran (installation {before} \
                     is {found} now): jobs that were acknowledged before are lost. New events are processed. \
                     Find out what happened (FLUSHALL, an empty volume, another server), restore a backup or \
                     have the producers publish again, and restart this process to end the alarm"
                );
                tracing::error!(%before, now = %found, "{why}");
                self.lock().warnings.insert(INSTALLATION.to_owned(), why);
            }
            Some(_) => {}
            // Both metrics exist before anything is lost.
            None => {
                lost.increment(0);
                alarm.set(0.0);
            }
        }
    }
}

/// Checks every second whether Redis answers and takes the writes of workers and operators, and
/// keeps the part `redis` up to date. Never ends. Logs once which settings of Redis should change,
/// and raises the alarm when its data are gone.
pub async fn watch_redis(connector: Connector, health: Health) {
    watch(connector, health, None).await;
}

/// The same for a bridge. It also keeps the parts `enqueue` (whether Redis takes new jobs) and
/// `durability` (whether Redis keeps them as safely as demanded) up to date.
pub async fn watch_redis_of_bridge(connector: Connector, health: Health, demanded: Durability) {
    watch(connector, health, Some(demanded)).await;
}

async fn watch(connector: Connector, health: Health, bridge: Option<Durability>) {
    let mut conn: Option<Connection> = None;
    let mut advised = false;
    loop {
        let looked = async {
            let conn = match &mut conn {
                Some(conn) => conn,
                // Created at its first use.
                None => conn.insert(connector.connect()?),
            };
            look(&connector, conn, &health, bridge).await?;
            if !std::mem::replace(&mut advised, true) {
                for advice in connector.advice(conn).await {
                    tracing::warn!("{advice}");
                }
            }
            Ok(())
        };
        // A cluster client asks a frozen master several times before it looks for another one. A
        // new connection finds the other master at once.
        let looked = tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| {
            conn = None;
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}")).into())
        });
        if let Err(error) = looked {
            health.down_by_redis(REDIS, &error);
            // The server that comes back may keep jobs less safely.
            health.forget(DURABILITY);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One check. An error belongs to the part `redis`.
async fn look(
    connector: &Connector,
    conn: &mut Connection,
    health: &Health,
    bridge: Option<Durability>,
) -> redis::RedisResult<()> {
    connector.takes(conn, Writes::Work).await?;
    health.up(REDIS);
    // A full Redis does not store an id for data without one; a later check does.
    if let Ok(found) = connector.installation(conn).await {
        health.installation(&found);
    }
    let Some(demanded) = bridge else { return Ok(()) };
    match connector.takes(conn, Writes::Jobs).await {
        Ok(()) => health.up(ENQUEUE),
        Err(error) => health.down_by_redis(ENQUEUE, &error),
    }
    if demanded == Durability::Always {
        match connector.persistence(conn).await.map(|told| Shortfall::of(&told)) {
            Ok(None) => {
                health.clear_warning(DURABILITY);
                health.up(DURABILITY);
            }
            Ok(Some(Shortfall::Unknown)) => {
                health.warn(DURABILITY, &Shortfall::Unknown.to_string());
                health.up(DURABILITY);
            }
            Ok(Some(less)) => health.down(DURABILITY, less),
            Err(error) => health.down_by_redis(DURABILITY, &error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_data_are_an_alarm_that_stays() {
        let health = Health::needing(&[REDIS]);
        health.up(REDIS);
        for id in ["a", "a"] {
            health.installation(id);
            assert!(health.warnings().is_empty());
        }
        for id in ["b", "b"] {
            health.installation(id);
            let said = health.warnings().remove(INSTALLATION).unwrap();
            assert!(said.contains("installation a is b now") && said.contains("restart"), "{said}");
        }
        assert!(health.missing().is_empty(), "the service works");
    }

    #[test]
    fn a_part_says_why_it_is_down() {
        let health = Health::needing(&[REDIS]);
        assert!(health.why_missing(REDIS).is_some_and(|why| why.contains("not looked at")));
        assert_eq!(health.why_missing(ENQUEUE), None, "it is not needed");
        health.down_by_redis(REDIS, &redis::RedisError::from(io::Error::from(io::ErrorKind::TimedOut)));
        assert!(health.why_missing(REDIS).is_some() && health.missing().contains_key(REDIS));
        health.up(REDIS);
        assert!(health.why_missing(REDIS).is_none() && health.missing().is_empty());
        health.forget(ENQUEUE);
        assert!(health.missing().is_empty(), "it is not needed");
        health.forget(REDIS);
        assert!(health.missing().contains_key(REDIS));
        health.up(REDIS);
        health.need(REDIS);
        assert!(health.missing().is_empty(), "it was needed before");
        health.need("store");
        assert!(health.missing().contains_key("store"));
    }
}
