//! Decides which worker of a queue sweeps it.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::RedisResult;

use super::super::core::Core;

/// How long a worker may sweep without a renewal.
const HELD: Duration = Duration::from_secs(10);
/// How often the worker renews, and how often other workers check that.
const RENEWED: Duration = Duration::from_secs(3);

/// Whether this worker sweeps.
///
/// The key has a lifetime, and its value changes with each renewal. Other workers watch the value
/// too, because after a clock set back, the key of a worker that is gone would not expire.
pub(super) struct Hold<'a> {
    core: &'a Core,
    /// Until when this worker sweeps.
    until: Mutex<Option<Instant>>,
}

/// The value of another worker, and since when.
type Seen = Option<(String, Instant)>;

impl<'a> Hold<'a> {
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, until: Mutex::new(None) }
    }

    /// Whether this worker sweeps.
    pub(super) fn is_ours(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Tries to become the sweeping worker, and renews.
    pub(super) async fn run(&self) -> Infallible {
        let mut seen = None;
        for renewal in 1_u64.. {
            let asked = Instant::now();
            match self.renew(renewal, &mut seen).await {
                Ok(is_ours) => {
                    let until = is_ours.then(|| asked + HELD - RENEWED);
                    *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
                }
                Err(error) => tracing::debug!(queue = %self.core.options.queue, %error, "not swept"),
            }
            tokio::time::sleep(RENEWED).await;
        }
        std::future::pending().await
    }

    async fn renew(&self, renewal: u64, seen: &mut Seen) -> RedisResult<bool> {
        let queue = &self.core.renewals;
        let (key, mut conn) = (queue.client.keys().sweeper(), queue.client.conn.clone());
        let ours = format!("{} {renewal}", self.core.worker());
        let mut get = redis::cmd("GET");
        let there: Option<String> = get.arg(&key).query_async(&mut conn).await?;
        let is_free = match &there {
            None => true,
            Some(there) if there.split(' ').next() == Some(self.core.worker()) => {
                let mut set = redis::cmd("SET");
                set.arg(&key).arg(&ours).arg("PX").arg(HELD.as_millis() as u64);
                set.exec_async(&mut conn).await?;
                return Ok(true);
            }
            Some(there) => match seen {
                Some((before, since)) if before == there => {
                    let is_gone = since.elapsed() > HELD + RENEWED;
                    if is_gone {
                        redis::cmd("DEL").arg(&key).exec_async(&mut conn).await?;
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
        set.arg(&key).arg(&ours).arg("NX").arg("PX").arg(HELD.as_millis() as u64);
        let done: Option<String> = set.query_async(&mut conn).await?;
        Ok(done.is_some())
    }
}
