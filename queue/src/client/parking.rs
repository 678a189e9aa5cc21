//! Jobs that wait for something other than a time, and what releases them.
//!
//! A parked job names its condition. Claims lease the jobs that are parked for a kind. For other
//! conditions each worker checks at its start, and now and then, which it fulfils:
//! | condition | fulfilled by |
//! |---|---|
//! | `kind K@V` | the claim of a worker that has a handler for version V of kind K |
//! | `args K@V not B\|C` | a worker with such a handler and another build than B and C, which could not read the arguments |
//! | `resume K` | the end of the pause of kind K, and any worker that finds it ended |
//! | `wait KEY`, `tenant TENANT\|KEY` | a signal ([`Client::signal`]) or [`Client::unpark`]: a handler parked the job ([`crate::Park`]) |
//! Handlers may name any number of conditions (one for each unconfirmed order), so a reader reads
//! them in parts.

use std::collections::BTreeMap;

use crate::{
    client::{handle::Client, release::Released},
    error::Error,
    job::condition::Condition,
    scripts::{self, Call, MAX_BATCH},
};

/// Conditions that are read in one call; Redis may answer with a few more, or twice with one.
const PART: usize = 1_000;

/// Where a walk through the conditions continues; the default is the beginning.
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

    /// A part of them: some 1,000, unordered, and where to continue, if there are more. A condition
    /// that exists during the whole walk is in one of the parts.
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

    /// Releases all jobs that handlers parked for a condition: the first at once, the rest in the
    /// background ([`crate::client::release`]). No parked job is not an error. The call affects
    /// only jobs that are parked at this moment, and nothing remembers it. See
    /// [`Park`](crate::Park) for an order of calls that misses no job.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn unpark(&self, condition: &Condition) -> Result<Released, Error> {
        self.release_part(&condition.stored(), "begin").await
    }

    /// How many jobs handlers parked for a condition.
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

    /// Releases the `most` jobs that were parked the longest for a condition; returns how many. So
    /// one job can test the condition before all of them run.
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
