//! Trims entries of the outbox that every group has acknowledged.

use std::time::Instant;

use super::Worker;
use crate::{
    error::Error,
    policy::pace::Pace,
    scripts::{self, Call},
};

/// Entries that are kept without a group.
const KEPT: usize = 1_000;
/// Entries that one command drops. Ten times as many would take Redis over 5 ms.
const DROPPED: usize = 1_000;

impl Worker {
    /// Drops entries that every group has acknowledged; without a group, all
    /// but the newest.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn trim_outbox(&self) -> Result<(), Error> {
        // An outbox may grow by any number between two sweeps.
        loop {
            let began = Instant::now();
            let mut call = Call::new(&scripts::TRIM_OUTBOX, &self.client.keys);
            let dropped: u64 = call.arg(KEPT).arg(DROPPED).run(&mut self.client.conn.clone()).await?;
            if dropped == 0 {
                return Ok(());
            }
            Pace::TRIM.rest(began.elapsed()).await;
        }
    }
}
