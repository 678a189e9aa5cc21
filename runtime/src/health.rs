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

/// How often Redis is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// The part that says whether Redis answers and takes writes.
pub const REDIS: &str = "redis";
/// The part that says whether Redis takes new jobs.
pub const ENQUEUE: &str = "enqueue";
/// The part that says whether Redis keeps jobs as `redis.durability` demands.
pub const DURABILITY: &str = "durability";
/// The warning that Redis has other data than before.
pub const INSTALLATION: &str = "installation";

/// The state of what a service needs, by name (`rabbitmq`, `redis`), and what it
/// warns of although it works. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    parts: BTreeMap<String, Part>,
    warnings: BTreeMap<String, String>,
    /// Which data Redis had when it was last looked at.
    installation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Unseen,
    Up,
    Down {
        why: String,
        /// What the reasons of one state have in common.
        cause: Option<Cause>,
    },
}

impl Part {
    /// Why it is missing, if it is.
    fn why(&self) -> Option<String> {
        match self {
            Self::Up => None,
            Self::Unseen => Some("not looked at yet".to_owned()),
            Self::Down { why, .. } => Some(why.clone()),
        }
    }
}

impl Health {
    /// A service that needs these parts; it is not ready before each was seen
    /// to work.
    pub fn needing(parts: &[&str]) -> Self {
        let health = Self::default();
        health.lock().parts.extend(parts.iter().map(|part| ((*part).to_owned(), Part::Unseen)));
        health
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The maps are whole after every statement that changes them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It works.
    pub fn up(&self, part: &str) {
        self.set(part, Part::Up);
    }

    /// It does not, and why.
    pub fn down(&self, part: &str, why: impl std::fmt::Display) {
        self.set(part, Part::Down { why: why.to_string(), cause: None });
    }

    /// Redis does not do it, and why.
    pub fn down_by_redis(&self, part: &str, error: &redis::RedisError) {
        self.set(part, Part::Down { why: told(error), cause: Some(Cause::of(error)) });
    }

    fn set(&self, part: &str, now: Part) {
        let before = self.lock().parts.insert(part.to_owned(), now.clone()).unwrap_or(Part::Unseen);
        self.changed.notify_waiters();
        // Said once for each state, not once for each attempt.
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

    /// Takes a part that is needed for unseen: it has to be looked at again.
    fn forget(&self, part: &str) {
        if let Some(state @ Part::Up) = self.lock().parts.get_mut(part) {
            *state = Part::Unseen;
        }
    }

    /// Returns once all of these parts have been seen to work.
    pub async fn wait_for(&self, wanted: &[&str]) {
        loop {
            // Before the look: a change in between is not missed.
            let changed = self.changed.notified();
            if wanted.iter().all(|part| self.lock().parts.get(*part) == Some(&Part::Up)) {
                return;
            }
            changed.await;
        }
    }

    /// Why a part is missing; `None` while it works, or where it is not needed.
    pub fn why_missing(&self, part: &str) -> Option<String> {
        self.lock().parts.get(part).and_then(Part::why)
    }

    /// What is missing, with the reason; empty when the service is ready.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let why = |(part, state): (&String, &Part)| Some((part.clone(), state.why()?));
        self.lock().parts.iter().filter_map(why).collect()
    }

    /// What the service warns of although it works, by name.
    pub fn warnings(&self) -> BTreeMap<String, String> {
        self.lock().warnings.clone()
    }

    /// Warns once of something that the service works in spite of.
    pub fn warn(&self, name: &str, why: &str) {
        let before = self.lock().warnings.insert(name.to_owned(), why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::warn!(warning = name, "{why}");
        }
    }

    /// It warns of that no longer.
    pub fn clear_warning(&self, name: &str) {
        self.lock().warnings.remove(name);
    }

    /// Compares the id of the data in Redis with the one that was there before.
    /// The alarm stays until the process is started again: it is about what is
    /// lost, which no later look finds.
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
            // So that both are there before anything is lost.
            None => {
                lost.increment(0);
                alarm.set(0.0);
            }
        }
    }
}

/// Looks every second whether Redis answers and takes what workers and operators
/// write, and keeps the part `redis` up to date; never ends. Says once what about
/// its configuration should be changed, and raises the alarm when its data are
/// gone.
pub async fn watch_redis(connector: Connector, health: Health) {
    watch(connector, health, None).await;
}

/// The same for a bridge: keeps the parts `enqueue` (whether Redis takes new
/// jobs) and `durability` (whether it keeps them as is demanded) up to date as well.
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
                // Made at its first use.
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
        // A client of a cluster asks a master that is frozen several times before it looks for
        // another one; a new connection finds that at once.
        let looked = tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| {
            conn = None;
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}")).into())
        });
        if let Err(error) = looked {
            health.down_by_redis(REDIS, &error);
            // The one that comes back may keep jobs less safely.
            health.forget(DURABILITY);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One look. An error is that of the part `redis`.
async fn look(
    connector: &Connector,
    conn: &mut Connection,
    health: &Health,
    bridge: Option<Durability>,
) -> redis::RedisResult<()> {
    connector.takes(conn, Writes::Work).await?;
    health.up(REDIS);
    // A full Redis gives no id to data without one; the next look does.
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
    }
}
