//! Handles a Redis clock that was set back: manually, or because the clock of a new master is
//! behind.
//!
//! All times are Redis' times. If its clock goes back by an hour, earlier times lie an hour ahead:
//! the lease of a worker that is gone, the next token of a rate, a retry after ten seconds. So a
//! worker of the queue stores the clock now and then. If the stored time lies ahead, all times are
//! counted again: a lease lasts at most its length, a job waits for the rest of its delay.
//! Deadlines stay, and so does the order within a lane.

use std::time::{Duration, Instant};

use super::Worker;
use crate::{
    error::Error,
    policy::pace::Pace,
    scripts::{self, Call},
};

/// The parts with times, in the order in which they are counted again.
const TIMED: [&str; 6] = ["running", "paced", "scheduled", "dead", "cancelled", "workers"];

/// A reading of Redis' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The time, UTC ms.
    pub now: i64,
    /// How far it was set back since the last reading.
    pub set_back: Duration,
    /// How many leases, tokens, delays and ends were counted again.
    pub anew: u64,
}

impl Worker {
    /// Reads Redis' clock. If it was set back, counts times again that lie too far ahead.
    ///
    /// # Errors
    /// When Redis failed; the next call begins again.
    pub async fn mind_clock(&self) -> Result<Clock, Error> {
        let (now, back, _) = self.clock_call("look", 0).await?;
        let mut clock = Clock { now, set_back: Duration::from_millis(back), anew: 0 };
        if back == 0 {
            return Ok(clock);
        }
        for what in TIMED {
            let mut from = 0;
            loop {
                let began = Instant::now();
                let (_, next, anew) = self.clock_call(what, from).await?;
                clock.anew += anew;
                from = next;
                if from == 0 {
                    break;
                }
                Pace::RELEASE.rest(began.elapsed()).await;
            }
        }
        self.clock_call("done", 0).await?;
        Ok(clock)
    }

    async fn clock_call(&self, what: &str, from: u64) -> Result<(i64, u64, u64), Error> {
        let mut call = Call::new(&scripts::CLOCK, &self.client.keys);
        Ok(call.arg(what).arg(from).run(&mut self.client.conn.clone()).await?)
    }
}
