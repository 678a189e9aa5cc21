//! Reads expectations: by account and time, by due time, by subject, and what is left of forgotten
//! jobs.
//!
//! Every read is a bounded part of an index, after a position that is named and not counted. A
//! caller that lists several routes or queues merges the parts.

mod clocks;
mod figures;
mod oldest;
mod rows;
mod tenants;

use futures::future;

use crate::{
    client::{handle::Client, list::Sorted},
    error::Error,
    job::{Job, id::JobId},
    policy::account::Account,
    scripts::{self, Call, MAX_BATCH},
};

pub use clocks::{Clocks, RouteClocks};
pub(crate) use clocks::{HOUR_MS, SKEWED};
pub use figures::{FigureDay, Snapshot};
pub use rows::{VerdictDay, VerdictRow};
pub use tenants::OpenOfTenant;

/// Ids whose outcomes are expected within the same 250 ms, of one call that enqueued them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePack {
    /// The end of these 250 ms, UTC ms.
    pub until: i64,
    /// The ids, at least one. Their jobs may have ended.
    pub ids: Vec<JobId>,
}

impl Client {
    /// Up to `most` ids of the expectations in one account of a route, and their times (UTC ms): the
    /// due time of overdue, awaiting and reopened ones, else the time of the verdict. Ascending, or else
    /// descending. `behind` is a time and an id, and need not exist. A job that was forgotten stays
    /// in the index for as long as its row is kept.
    ///
    /// Only accounts with an index have any ([`Account::is_indexed`]).
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn outcome_ids(
        &self,
        route: u32,
        account: Account,
        ascending: bool,
        behind: Option<(i64, &str)>,
        most: usize,
    ) -> Result<Vec<(JobId, i64)>, Error> {
        let name = format!("{route}:{}", account.letter());
        let found = self.part_of(Sorted::Outcomes(&name), ascending, behind, most).await?;
        Ok(found.into_iter().map(|(id, at)| (JobId::trusted(id), at)).collect())
    }

    /// Up to `most` packs of ids, by when their outcomes are due. `behind` is the time of a pack and
    /// its first id, or a text that sorts after it.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn due_packs(&self, behind: Option<(i64, &str)>, most: usize) -> Result<Vec<DuePack>, Error> {
        let found = self.part_of(Sorted::Due, true, behind, most).await?;
        let pack = |(member, until): (String, i64)| {
            let ids: Vec<JobId> = member.split_whitespace().map(|id| JobId::trusted(id.to_owned())).collect();
            (!ids.is_empty()).then_some(DuePack { until, ids })
        };
        Ok(found.into_iter().filter_map(pack).collect())
    }

    /// Of each of these jobs, in order, what its head line and state say: kind, tenant, times,
    /// state and expectation. Subject, arguments and everything else are left out, so that many
    /// jobs can be looked at. `None` for a job that does not exist, or that cannot be read, which is
    /// logged.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn briefs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, Error> {
        let parts = future::try_join_all(ids.chunks(MAX_BATCH).map(|ids| self.briefs_of(ids))).await?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The same of at most [`MAX_BATCH`] jobs.
    async fn briefs_of(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, Error> {
        let mut jobs = Vec::with_capacity(ids.len());
        while let Some(rest) = ids.get(jobs.len()..).filter(|rest| !rest.is_empty()) {
            let mut call = Call::new(&scripts::BRIEF, &self.keys);
            for id in rest {
                call.arg(id.as_str());
            }
            let said: Vec<Vec<u8>> = call.run(&mut self.conn.clone()).await?;
            let (found, _) = said.as_chunks::<4>();
            if found.is_empty() {
                break;
            }
            jobs.extend(rest.iter().zip(found).map(|(id, [head, state, account, awaits])| {
                if head.is_empty() {
                    return None;
                }
                Job::brief(id, &self.name, head, state, account, awaits)
                    .inspect_err(|error| tracing::error!(%error, "left out of a list of outcomes"))
                    .ok()
            }));
        }
        jobs.resize_with(ids.len(), || None);
        Ok(jobs)
    }

    /// Up to `most` ids of jobs and rows about a subject, in the order of the ids, after one.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn ids_of_subject(
        &self,
        subject: &str,
        after: Option<&JobId>,
        most: usize,
    ) -> Result<Vec<JobId>, Error> {
        self.check_layout().await?;
        let from = after.map_or_else(|| format!("[{subject}\0"), |id| format!("({subject}\0{id}"));
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys.subjects()).arg(from).arg(format!("({subject}\x01"));
        cmd.arg("BYLEX").arg("LIMIT").arg(0).arg(most);
        let found: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        let id = |entry: &String| entry.rsplit_once('\0').map(|(_, id)| JobId::trusted(id.to_owned()));
        Ok(found.iter().filter_map(id).collect())
    }

    /// Of each route, in order, how many expectations stand in an account with an index, and the
    /// earliest of their times (UTC ms).
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn oldest_outcomes(&self, routes: &[u32], account: Account) -> Result<Vec<Option<i64>>, Error> {
        if routes.is_empty() {
            return Ok(Vec::new());
        }
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        for route in routes {
            pipe.cmd("ZRANGE").arg(self.keys.outcomes(*route, account)).arg(0).arg(0).arg("WITHSCORES");
        }
        let found: Vec<Vec<(String, f64)>> = pipe.query_async(&mut self.conn.clone()).await?;
        Ok(found.into_iter().map(|first| first.first().map(|(_, at)| *at as i64)).collect())
    }
}
