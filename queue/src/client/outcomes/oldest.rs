//! Finds the oldest jobs without a verdict.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    client::handle::Client,
    error::Error,
    job::{Job, id::JobId},
    policy::account::Account,
    scripts::{self, Call},
};

/// The accounts without a verdict that have an index by time.
const INDEXED: [Account; 3] = [Account::Overdue, Account::Reopened, Account::Awaiting];

impl Client {
    /// Of each of these routes the oldest job without a verdict, by when it was enqueued.
    ///
    /// Those that are late come from an index by due time. The others come from a bounded sample of
    /// each state, so among more than some dozens of lanes or waiting jobs an older one may be
    /// missed.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn oldest_open(&self, routes: &[u32]) -> Result<BTreeMap<u32, Job>, Error> {
        let mut pipe = redis::pipe();
        for (route, account) in routes.iter().flat_map(|route| INDEXED.map(|account| (*route, account))) {
            pipe.cmd("ZRANGE").arg(self.keys.outcomes(route, account)).arg(0).arg(0);
        }
        let indexed: Vec<Vec<String>> = match routes {
            [] => Vec::new(),
            _ => pipe.query_async(&mut self.conn.clone()).await?,
        };
        let sample: Vec<String> = Call::new(&scripts::OLDEST, &self.keys).run(&mut self.conn.clone()).await?;
        let ids: BTreeSet<String> = indexed.into_iter().flatten().chain(sample).collect();
        let ids: Vec<JobId> = ids.into_iter().map(JobId::trusted).collect();
        let mut oldest: BTreeMap<u32, (i64, JobId)> = BTreeMap::new();
        for job in self.briefs(&ids).await?.into_iter().flatten() {
            let Some(expectation) = job.expectation.filter(|of| of.account.is_open()) else { continue };
            let one = (job.enqueued_at, job.id);
            let of = oldest.entry(expectation.route).or_insert_with(|| one.clone());
            if one < *of {
                *of = one;
            }
        }
        let (found, ids): (Vec<u32>, Vec<JobId>) = oldest
            .into_iter()
            .filter(|(route, _)| routes.contains(route))
            .map(|(route, (_, id))| (route, id))
            .unzip();
        let jobs = self.jobs(&ids).await?;
        // One that ended meanwhile is no longer among them, or has a verdict.
        let open = jobs.into_iter().filter(|job| job.expectation.is_some_and(|of| of.account.is_open()));
        let by_route = open.filter_map(|job| Some((job.expectation?.route, job)));
        Ok(by_route.filter(|(route, _)| found.contains(route)).collect())
    }
}
