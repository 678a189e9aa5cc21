//! Decides which process does work that one process of a queue does at a time.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use redis::RedisResult;
use tokio::sync::watch;

use crate::{client::handle::Client, redis::connect::Connection};

/// How long a holder may work without a renewal.
const HELD: Duration = Duration::from_secs(10);
/// How often the holder renews, and how often other processes check that.
const RENEWED: Duration = Duration::from_secs(3);

/// Whether this process does the work.
///
/// The key has a lifetime, and its value changes with each renewal. Other processes watch the value
/// too, because after a clock set back, the key of a process that is gone would not expire.
#[derive(Debug)]
pub struct Hold {
    conn: Connection,
    key: String,
    owner: String,
    /// Until when this process does the work.
    until: watch::Sender<Option<Instant>>,
}

/// The value of another process, and since when.
type Seen = Option<(String, Instant)>;

impl Client {
    /// The right to relay the moves of the outbox to the outside. `owner` must be unique to this
    /// process, and have no blank.
    pub fn hold_relay(&self, owner: &str) -> Hold {
        Hold::new(self.conn.clone(), self.keys.relay(), owner.to_owned())
    }
}

impl Hold {
    pub(crate) fn new(conn: Connection, key: String, owner: String) -> Self {
        Self { conn, key, owner, until: watch::Sender::new(None) }
    }

    /// The right to work that a key stands for, outside of any queue. `owner` must be unique to this
    /// process, and have no blank.
    pub fn on(conn: Connection, key: String, owner: String) -> Self {
        Self::new(conn, key, owner)
    }

    /// Whether this process does the work.
    pub fn is_ours(&self) -> bool {
        is_now(*self.until.borrow())
    }

    /// Waits until this process does the work. Needs [`Hold::run`] at the same time.
    pub async fn until_ours(&self) {
        // The sender lives as long as this does.
        let _ = self.until.subscribe().wait_for(|until| is_now(*until)).await;
    }

    /// Tries to become the holder, and renews, for ever.
    pub async fn run(&self) -> Infallible {
        let mut seen = None;
        for renewal in 1_u64.. {
            let asked = Instant::now();
            match self.renew(renewal, &mut seen).await {
                Ok(is_ours) => {
                    self.until.send_replace(is_ours.then(|| asked + HELD - RENEWED));
                }
                Err(error) => tracing::debug!(key = self.key, %error, "not renewed"),
            }
            tokio::time::sleep(RENEWED).await;
        }
        std::future::pending().await
    }

    /// Gives the work back, so that another process need not wait for the key to expire.
    ///
    /// # Errors
    /// When Redis failed. The key then expires by itself.
    pub async fn release(&self) -> RedisResult<()> {
        // The key is ours for a while after this.
        let is_ours = self.is_ours();
        self.until.send_replace(None);
        if !is_ours {
            return Ok(());
        }
        redis::cmd("DEL").arg(&self.key).exec_async(&mut self.conn.clone()).await
    }

    async fn renew(&self, renewal: u64, seen: &mut Seen) -> RedisResult<bool> {
        let (key, mut conn) = (&self.key, self.conn.clone());
        let ours = format!("{} {renewal}", self.owner);
        let there: Option<String> = redis::cmd("GET").arg(key).query_async(&mut conn).await?;
        let is_free = match &there {
            None => true,
            Some(there) if there.split(' ').next() == Some(&self.owner) => {
                let mut set = redis::cmd("SET");
                set.arg(key).arg(&ours).arg("PX").arg(HELD.as_millis() as u64);
                set.exec_async(&mut conn).await?;
                return Ok(true);
            }
            Some(there) => match seen {
                Some((before, since)) if before == there => {
                    let is_gone = since.elapsed() > HELD + RENEWED;
                    if is_gone {
                        redis::cmd("DEL").arg(key).exec_async(&mut conn).await?;
                    }
                    is_gone
                }
                _ => {
                    *seen = Some((there.clone(), Instant::now()));
                    false
                }
            },
        };
        if !is_free {
            return Ok(false);
        }
        *seen = None;
        let mut set = redis::cmd("SET");
        set.arg(key).arg(&ours).arg("NX").arg("PX").arg(HELD.as_millis() as u64);
        let done: Option<String> = set.query_async(&mut conn).await?;
        Ok(done.is_some())
    }
}

fn is_now(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}
