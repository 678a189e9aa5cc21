//! The version of the layout of keys, compared by what reads without a script.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    client::queue::{Error, Queue},
    redis::keys::SCHEMA,
};

/// How long a layout that fits is taken for granted: a queue is not replaced every second.
const FRESH: Duration = Duration::from_secs(1);

/// When the layout was found to fit; shared by the clones of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout(Arc<Mutex<Option<Instant>>>);

impl Queue {
    /// Compares the layout in Redis with that of this program, as every script does. To be
    /// called before keys are read whose meaning depends on it; costs a round trip a second.
    ///
    /// # Errors
    /// When they differ, or Redis failed.
    pub(crate) async fn check_layout(&self) -> Result<(), Error> {
        let Layout(seen) = &self.layout;
        if seen.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(self.keys.control()).arg("schema");
        pipe.cmd("EXISTS").arg(self.keys.stats());
        let (found, used): (Option<String>, bool) = pipe.query_async(&mut self.conn.clone()).await?;
        match found {
            Some(version) if version != SCHEMA.to_string() => Err(Error::Layout { found: version }),
            // The first layout had no version yet.
            None if used => Err(Error::Layout { found: "1".to_owned() }),
            _ => {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Ok(())
            }
        }
    }
}
