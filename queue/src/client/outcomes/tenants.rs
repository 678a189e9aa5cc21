//! Reads what concerns one tenant, without reading what concerns the others.

use super::FigureDay;
use crate::{
    client::{
        dead::{Group, GroupFilter},
        handle::Client,
    },
    error::Error,
    job::flow::encode,
    policy::account::Account,
};

/// Groups that are looked through for a tenant.
const GROUPS: usize = 200;

/// What of a tenant has no verdict now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOfTenant {
    /// Expectations without a verdict.
    pub open: u64,
    /// Those of them that are overdue.
    pub overdue: u64,
}

impl Client {
    /// How many expectations of tenants have no verdict now, in the order of the tenants; an empty name
    /// is that of jobs without one. Of a queue that an earlier version filled, those that it opened are
    /// not counted.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn open_by_tenant(&self, tenants: &[&str]) -> Result<Vec<OpenOfTenant>, Error> {
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.open_by_tenant());
        for name in tenants.iter().map(|tenant| encode(tenant)) {
            cmd.arg(format!("o|{name}")).arg(format!("v|{name}"));
        }
        let found: Vec<Option<u64>> = cmd.query_async(&mut self.conn.clone()).await?;
        let of = |pair: &[Option<u64>]| {
            let count = |nth: usize| pair.get(nth).copied().flatten().unwrap_or_default();
            OpenOfTenant { open: count(0), overdue: count(1) }
        };
        Ok(found.chunks(2).map(of).collect())
    }

    /// The counts of days (days since 1970) of one tenant, or of jobs without one, in the order of the
    /// days. A day that has no room for the tenant counts it with others, and has nothing of it here.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn figures_of_tenant(
        &self,
        days: &[i64],
        tenant: Option<&str>,
    ) -> Result<Vec<FigureDay>, Error> {
        if days.is_empty() {
            return Ok(Vec::new());
        }
        self.check_layout().await?;
        let tenant = tenant.unwrap_or_default();
        let name = encode(tenant);
        let fields: Vec<String> =
            Account::ALL.iter().map(|account| format!("t|{name}|{}", account.letter())).collect();
        let mut pipe = redis::pipe();
        for day in days {
            pipe.cmd("HMGET").arg(self.keys.figures(*day)).arg(&fields);
        }
        let found: Vec<Vec<Option<u64>>> = pipe.query_async(&mut self.conn.clone()).await?;
        let day = |counts: Vec<Option<u64>>| {
            let counts = Account::ALL.into_iter().zip(counts);
            let tenants = counts.filter_map(|(account, n)| Some((tenant.to_owned(), account, n?))).collect();
            FigureDay { tenants, ..FigureDay::default() }
        };
        Ok(found.into_iter().map(day).collect())
    }

    /// The causes of failures that hit a tenant, or jobs without one, among the 200 groups with jobs that
    /// failed last: each with the tenant's failures, the most first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn failures_of_tenant(&self, tenant: Option<&str>) -> Result<Vec<(Group, u64)>, Error> {
        let groups = self.dead_groups(&GroupFilter::default(), GROUPS).await?;
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let name = encode(tenant.unwrap_or_default());
        let mut pipe = redis::pipe();
        for group in &groups {
            pipe.cmd("ZSCORE").arg(self.keys.group_tenants(&group.fingerprint)).arg(&name);
        }
        let hits: Vec<Option<u64>> = pipe.query_async(&mut self.conn.clone()).await?;
        let mut hit: Vec<(Group, u64)> =
            groups.into_iter().zip(hits).filter_map(|(group, n)| Some((group, n?))).collect();
        hit.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        Ok(hit)
    }
}
