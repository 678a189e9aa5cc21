//! Jobs that wait for something else than time, and who lets them go on.
//!
//! A parked job names its condition. Claims lease the jobs that are parked for a kind; for the other
//! conditions a worker that starts, and every worker now and then, looks which it meets:
//! | condition | met by |
//! |---|---|
//! | `kind K@V` | the claim of a worker that has a handler for version V of kind K |
//! | `args K@V not B\|C` | a worker that has one, of another build than B and C, which could not read the arguments |
//! | `resume K` | whoever resumes kind K, and any worker that finds it no longer paused |
//! | `wait NAME` | whoever calls [`Client::unpark`]: a handler parked the job ([`crate::Park`]) |
//! Handlers may name any number of conditions (one for each order that is not confirmed yet), so
//! whoever looks through them reads a part at a time.

use std::collections::BTreeMap;

use crate::{
    client::{handle::Client, release::Released},
    error::Error,
    job::condition::Condition,
    scripts::{self, Call, MAX_BATCH},
};

/// Conditions that are read in one call; Redis may answer with a few more, or twice with one.
const PART: usize = 1_000;

/// Where a look through the conditions goes on; the default is their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConditionCursor(u64);

impl Client {
    /// What parked jobs wait for, and how many jobs wait for each: all conditions, read in parts.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn conditions(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut all = BTreeMap::new();
        let mut from = Some(ConditionCursor::default());
        while let Some(cursor) = from {
            let (conditions, next) = self.conditions_part(cursor).await?;
            all.extend(conditions);
            from = next;
        }
        Ok(all.into_iter().collect())
    }

    /// A part of them: some 1,000, in no order, and where to go on, if there is more. What is
    /// there all the time that somebody looks through the parts is in one of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn conditions_part(
        &self,
        from: ConditionCursor,
    ) -> Result<(Vec<(String, u64)>, Option<ConditionCursor>), Error> {
        self.check_layout().await?;
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.needs()).arg(from.0).arg("COUNT").arg(PART);
        let (next, conditions): (u64, Vec<(String, u64)>) = scan.query_async(&mut self.conn.clone()).await?;
        Ok((conditions, (next != 0).then_some(ConditionCursor(next))))
    }

    /// Lets all jobs go on that their handlers parked for a condition: the first at once, the rest in the
    /// background ([`crate::client::release`]). None is no error: the condition is met for those that are
    /// parked now, and not remembered. See [`Park`](crate::Park) for the order in which nobody is
    /// missed.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn unpark(&self, condition: &Condition) -> Result<Released, Error> {
        self.release_part(&condition.stored(), "begin").await
    }

    /// How many jobs their handlers parked for a condition.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn waiting_for(&self, condition: &Condition) -> Result<u64, Error> {
        self.check_layout().await?;
        let mut count = redis::cmd("HGET");
        count.arg(self.keys.needs()).arg(condition.stored());
        let count: Option<u64> = count.query_async(&mut self.conn.clone()).await?;
        Ok(count.unwrap_or(0))
    }

    /// Lets those `most` jobs go on that have been parked the longest for a condition; returns how
    /// many went. So one job finds out whether the condition is met, and not all of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_some(&self, condition: &Condition, most: usize) -> Result<u64, Error> {
        let mut call = Call::new(&scripts::UNPARK, &self.keys);
        call.arg(condition.stored()).arg(most.clamp(1, MAX_BATCH)).arg("some");
        let (released, _): (u64, u64) = call.run(&mut self.conn.clone()).await?;
        Ok(released)
    }
}
