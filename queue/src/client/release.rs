//! Parked jobs whose condition is met are let go in parts.
//!
//! Any number of jobs may be parked for a condition, and making them all ready in one go would hold up
//! everything else. So the first part is let go at once, and what is left is recorded in Redis
//! (`releasing`): a worker of the queue goes on with it, with pauses, and so does whoever calls
//! [`Operator::finish_releases`]. How far it is can be seen ([`Client::releases`]).

use std::{collections::BTreeMap, time::Instant};

use crate::{
    client::handle::Client,
    client::operator::Operator,
    error::Error,
    policy::pace::Pace,
    scripts::{self, Call, MAX_BATCH},
};

/// What became of the jobs that were parked for a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Jobs that are ready.
    pub released: u64,
    /// Jobs that follow in the background.
    pub left: u64,
}

/// How far it is with the jobs of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releasing {
    /// The condition, as it is stored.
    pub condition: String,
    /// Jobs that were parked for it when it began.
    pub total: u64,
    /// Those of them that are done.
    pub done: u64,
    /// When it began, UTC ms.
    pub since: i64,
}

/// Conditions that are read at once; Redis may answer with a few more.
const PART: usize = 100;

impl Operator {
    /// Lets the first jobs go on that are parked for a condition now, as it is stored, and records the
    /// rest.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn begin_release(&self, condition: &str) -> Result<Released, Error> {
        self.client.release_part(condition, "begin").await
    }

    /// Lets all jobs go on that are parked for a condition now, as it is stored; returns how many.
    /// Jobs that are parked for it again meanwhile are not waited for.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn unpark(&self, condition: &str) -> Result<u64, Error> {
        let mut part = self.begin_release(condition).await?;
        let mut all = part.released;
        while part.left > 0 {
            part = self.client.release_part(condition, "continue").await?;
            all += part.released;
        }
        Ok(all)
    }

    /// Goes on with what was begun, with pauses, until nothing is left or `goes_on` says
    /// otherwise. Several that do this at once do no harm.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn finish_releases(&self, goes_on: impl Fn() -> bool) -> Result<(), Error> {
        self.client.finish_releases(goes_on).await
    }
}

impl Client {
    /// The conditions whose jobs are being let go, some 100 at most.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn releases(&self) -> Result<Vec<Releasing>, Error> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.releasing()).arg(0).arg("COUNT").arg(PART);
        let (_, told): (u64, BTreeMap<String, String>) = scan.query_async(&mut self.conn.clone()).await?;
        Ok(told.into_iter().filter_map(|(condition, told)| Releasing::read(condition, &told)).collect())
    }

    /// Whether a worker of the queue sweeps it, which goes on with what was begun.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn is_swept(&self) -> Result<bool, Error> {
        let mut cmd = redis::cmd("EXISTS");
        Ok(cmd.arg(self.keys.sweeper()).query_async(&mut self.conn.clone()).await?)
    }

    /// See [`Operator::finish_releases`].
    pub(crate) async fn finish_releases(&self, goes_on: impl Fn() -> bool) -> Result<(), Error> {
        loop {
            let releases = self.releases().await?;
            if releases.is_empty() {
                return Ok(());
            }
            // In turns, so that none waits for a large one.
            for release in releases {
                if !goes_on() {
                    return Ok(());
                }
                let began = Instant::now();
                self.release_part(&release.condition, "continue").await?;
                Pace::RELEASE.rest(began.elapsed()).await;
            }
        }
    }

    pub(crate) async fn release_part(&self, condition: &str, how: &str) -> Result<Released, Error> {
        let mut call = Call::new(&scripts::UNPARK, &self.keys);
        call.arg(condition).arg(MAX_BATCH).arg(how);
        let (released, left) = call.run(&mut self.conn.clone()).await?;
        Ok(Released { released, left })
    }
}

impl Releasing {
    fn read(condition: String, told: &str) -> Option<Self> {
        let mut parts = told.split(' ').skip(1);
        let mut part = || parts.next();
        let (total, done, since) = (part()?.parse().ok()?, part()?.parse().ok()?, part()?.parse().ok()?);
        Some(Self { condition, total, done, since })
    }
}
