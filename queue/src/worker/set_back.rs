//! Redis' clock set back: by hand, or because the clock of a new master is behind.
//!
//! Everything is timed by Redis. When its clock goes back by an hour, what was written before lies
//! an hour ahead: the lease of a worker that is gone, the next token of a rate, a retry after ten
//! seconds. So a worker of the queue writes down the clock now and then, and when that lies ahead
//! all of it is counted anew: a lease lasts for its length at most, a job waits for what is left of
//! its delay. Deadlines stay what they are, and so does the order within a lane.

use std::time::{Duration, Instant};

use super::Worker;
use crate::{
    error::Error,
    policy::pace::Pace,
    scripts::{self, Call},
};

/// What has times, in the order in which it is counted anew.
const TIMED: [&str; 5] = ["running", "paced", "scheduled", "dead", "cancelled"];

/// A look at Redis' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it is, UTC ms.
    pub now: i64,
    /// How far it was set back since the last look.
    pub set_back: Duration,
    /// How many leases, tokens, delays and ends were counted anew.
    pub anew: u64,
}

impl Worker {
    /// Looks at Redis' clock, and where that was set back counts anew what lies too far ahead.
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
