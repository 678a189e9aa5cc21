//! Checks the version of the layout for reads without a script.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::RedisResult;

use super::{
    connect::Connection,
    keys::{Keys, SCHEMA},
};

/// How long a successful check holds, because a queue is not replaced every second.
const FRESH: Duration = Duration::from_secs(1);

/// The time of the last successful check, shared by the clones of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout(Arc<Mutex<Option<Instant>>>);

impl Layout {
    /// The layout in Redis, if it differs from this program's.
    pub(crate) async fn other(&self, keys: &Keys, conn: &Connection) -> RedisResult<Option<String>> {
        let Self(seen) = self;
        if seen.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(None);
        }
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(keys.control()).arg("schema");
        pipe.cmd("EXISTS").arg(keys.stats());
        let (found, used): (Option<String>, bool) = pipe.query_async(&mut conn.clone()).await?;
        match found {
            Some(version) if version != SCHEMA.to_string() => Ok(Some(version)),
            // The first layout had no version yet.
            None if used => Ok(Some("1".to_owned())),
            _ => {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Ok(None)
            }
        }
    }
}
