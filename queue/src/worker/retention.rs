//! Retention: jobs that ended, and signals, are forgotten after a while, and never all at once.
//!
//! A clock of Redis that jumps ahead makes every job and signal old. So of what is kept in a state, only a
//! share is forgotten within an hour; the rest waits, and that is said. What is due because
//! somebody shortened the retention is not held back.

use std::time::Duration;

use super::Worker;
use crate::{
    error::Error,
    job::state::State,
    redis::clock::delay_ms,
    scripts::{self, Call, MAX_BATCH},
};

/// The period of the share.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// The share for a long retention.
const SHARE: f64 = 0.25;

/// The result of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Jobs, signals or rows that are forgotten.
    pub forgotten: u64,
    /// Whether there are more to forget at once.
    pub more: bool,
    /// Whether more jobs are due than this hour allows.
    pub held: bool,
}

/// The share of the kept jobs that may be forgotten within an hour. Steady work needs an hour's
/// part of the retention, so a short retention needs a larger share: twice that part, because work
/// comes in waves.
fn share(keep: Duration) -> f64 {
    if keep.is_zero() {
        return 1.0;
    }
    (2.0 * WINDOW.as_secs_f64() / keep.as_secs_f64()).clamp(SHARE, 1.0)
}

impl Worker {
    /// Forgets jobs that ended longer than `keep` ago in state `of`: at most 128 for each call, and
    /// at most a share of the kept jobs within an hour.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn trim(&self, of: State, keep: Duration) -> Result<Trimmed, Error> {
        let mut call = Call::new(&scripts::TRIM, &self.client.keys);
        call.arg(of.as_str()).arg(delay_ms(keep)).arg(MAX_BATCH);
        call.arg(share(keep)).arg(delay_ms(WINDOW));
        let (forgotten, more, held): (u64, u8, u8) = call.run(&mut self.client.conn.clone()).await?;
        Ok(Trimmed { forgotten, more: more == 1, held: held == 1 })
    }

    /// Forgets signals that came longer ago than `keep`, at most 128 a call, and no more than a
    /// share of those that are kept within an hour.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn trim_signals(&self, keep: Duration) -> Result<Trimmed, Error> {
        let mut call = Call::new(&scripts::TRIM_SIGNALS, &self.client.keys);
        call.arg(delay_ms(keep)).arg(MAX_BATCH).arg(share(keep)).arg(delay_ms(WINDOW));
        let (forgotten, more, held): (u64, u8, u8) = call.run(&mut self.client.conn.clone()).await?;
        Ok(Trimmed { forgotten, more: more == 1, held: held == 1 })
    }

    /// Drops rows about verdicts, at most 128 a call: those of days that ended longer ago than `keep`,
    /// no more than a share of the kept ones within an hour; and while all have more than `most` bytes,
    /// the oldest, achieved in time first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn trim_verdicts(&self, keep: Duration, most: u64) -> Result<Trimmed, Error> {
        let mut call = Call::new(&scripts::TRIM_VERDICTS, &self.client.keys);
        call.arg(delay_ms(keep)).arg(most).arg(MAX_BATCH).arg(share(keep)).arg(delay_ms(WINDOW));
        let (forgotten, more, held): (u64, u8, u8) = call.run(&mut self.client.conn.clone()).await?;
        Ok(Trimmed { forgotten, more: more == 1, held: held == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_retentions_may_forget_more_within_an_hour() {
        let hours = |n: f64| share(Duration::from_secs_f64(n * 3600.0));
        assert_eq!([0.0, 0.5, 2.0, 4.0, 8.0, 168.0].map(hours), [1.0, 1.0, 1.0, 0.5, 0.25, 0.25]);
    }
}
