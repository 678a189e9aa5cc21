//! Releases parked jobs whose condition is fulfilled, in parts.
//!
//! Any number of jobs may be parked for a condition, and releasing all of them in one call would
//! block Redis. So the first part is released at once, and the rest is recorded in Redis
//! (`releasing`). A worker of the queue continues, with pauses; [`Operator::finish_releases`] does
//! too. [`Client::releases`] shows the progress.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    client::handle::Client,
    client::operator::Operator,
    error::Error,
    policy::pace::Pace,
    scripts::{self, Call, MAX_BATCH},
};

/// The result of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Jobs that are ready.
    pub released: u64,
    /// Jobs that follow in the background.
    pub left: u64,
}

/// The progress of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releasing {
    /// The condition, in stored form.
    pub condition: String,
    /// Jobs that were parked for it when the release began.
    pub total: u64,
    /// Jobs that are released.
    pub done: u64,
    /// When the release began, UTC ms.
    pub since: i64,
}

/// Conditions that are read at once; Redis may answer with a few more.
const PART: usize = 100;

impl Operator {
    /// Releases the first jobs that are parked for a condition (in stored form) at this moment, and
    /// records the rest.
    ///
    /// # Errors
    /// When Redis failed; a release that began continues.
    pub async fn begin_release(&self, condition: &str) -> Result<Released, Error> {
        self.client.release_part(condition, "begin").await
    }

    /// Releases all jobs that are parked for a condition (in stored form) at this moment; returns
    /// how many. It does not wait for jobs that are parked again in the meantime.
    ///
    /// # Errors
    /// When Redis failed; a release that began continues.
    pub async fn unpark(&self, condition: &str) -> Result<u64, Error> {
        let mut part = self.begin_release(condition).await?;
        let mut all = part.released;
        while part.left > 0 {
            part = self.client.release_part(condition, "continue").await?;
            all += part.released;
        }
        Ok(all)
    }

    /// Continues releases, with pauses, until nothing is left or `goes_on` returns false. Several
    /// callers may do this at the same time.
    ///
    /// # Errors
    /// When Redis failed; a release that began continues.
    pub async fn finish_releases(&self, goes_on: impl Fn() -> bool) -> Result<(), Error> {
        self.client.finish_releases(goes_on).await
    }
}

impl Client {
    /// The conditions with a release in progress, some 100 at most.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn releases(&self) -> Result<Vec<Releasing>, Error> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.releasing()).arg(0).arg("COUNT").arg(PART);
        let (_, told): (u64, BTreeMap<String, String>) = scan.query_async(&mut self.conn.clone()).await?;
        Ok(told.into_iter().filter_map(|(condition, told)| Releasing::read(condition, &told)).collect())
    }

    /// Whether a worker sweeps the queue, which continues releases.
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
            // In turns, so that no release waits for a large one.
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
