//! Jobs that wait for something else than time, and who lets them go on.
//!
//! A parked job names its need. Claims lease the jobs that are parked for a kind; for the other
//! needs a worker that starts, and every worker now and then, looks which it meets:
//! | need | met by |
//! |---|---|
//! | `kind K@V` | the claim of a worker that has a handler for version V of kind K |
//! | `args K@V not B\|C` | a worker that has one, of another build than B and C, which could not read the arguments |
//! | `resume K` | whoever resumes kind K, and any worker that finds it no longer paused |
//! | `wait NAME` | whoever calls [`Client::meet`]: a handler parked the job ([`crate::Park`]) |
//! Handlers may name any number of needs (one for each order that is not confirmed yet), so
//! whoever looks through them reads a part at a time.

use std::collections::BTreeMap;

use crate::{
    client::{handle::Client, release::Released},
    error::Error,
    job::need::Need,
    scripts::{self, Call, MAX_BATCH},
};

/// Needs that are read in one call; Redis may answer with a few more, or twice with one.
const PART: usize = 1_000;

/// Where a look through the needs goes on; the default is their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeedCursor(u64);

impl Client {
    /// What parked jobs need, and how many need it: all of them, read in parts.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn needs(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut all = BTreeMap::new();
        let mut from = Some(NeedCursor::default());
        while let Some(cursor) = from {
            let (needs, next) = self.needs_part(cursor).await?;
            all.extend(needs);
            from = next;
        }
        Ok(all.into_iter().collect())
    }

    /// A part of them: some 1,000, in no order, and where to go on, if there is more. What is
    /// there all the time that somebody looks through the parts is in one of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn needs_part(
        &self,
        from: NeedCursor,
    ) -> Result<(Vec<(String, u64)>, Option<NeedCursor>), Error> {
        self.check_layout().await?;
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.needs()).arg(from.0).arg("COUNT").arg(PART);
        let (next, needs): (u64, Vec<(String, u64)>) = scan.query_async(&mut self.conn.clone()).await?;
        Ok((needs, (next != 0).then_some(NeedCursor(next))))
    }

    /// Lets all jobs go on that their handlers parked for a need: the first at once, the rest in the
    /// background ([`crate::client::release`]). None is no error: the need is met for those that are
    /// parked now, and not remembered. See [`Park`](crate::Park) for the order in which nobody is
    /// missed.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn meet(&self, need: &Need) -> Result<Released, Error> {
        self.release_part(&need.stored(), "begin").await
    }

    /// How many jobs their handlers parked for a need.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn waiting_for(&self, need: &Need) -> Result<u64, Error> {
        self.check_layout().await?;
        let mut count = redis::cmd("HGET");
        count.arg(self.keys.needs()).arg(need.stored());
        let count: Option<u64> = count.query_async(&mut self.conn.clone()).await?;
        Ok(count.unwrap_or(0))
    }

    /// Lets those `most` jobs go on that have been parked the longest for a need; returns how
    /// many went. So one job finds out whether the need is met, and not all of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn meet_some(&self, need: &Need, most: usize) -> Result<u64, Error> {
        let mut call = Call::new(&scripts::UNPARK, &self.keys);
        call.arg(need.stored()).arg(most.clamp(1, MAX_BATCH)).arg("some");
        let (released, _): (u64, u64) = call.run(&mut self.conn.clone()).await?;
        Ok(released)
    }
}
