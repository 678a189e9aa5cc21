//! Watches what falls due, and reads what balances.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    client::{
        books::{Books, NO_ROUTE},
        handle::Client,
    },
    error::Error,
    policy::account::Account,
    redis::clock::delay_ms,
    scripts::{self, Call, DUE_IDS},
};

/// The result of one look of the watchdog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Another process watches the queue, under this lease. A lease changes with each look.
    Elsewhere(String),
    /// This process watches the queue.
    Here {
        /// Expectations that became overdue.
        overdue: u64,
        /// Whether more are due.
        more: bool,
    },
}

/// The books of a queue, and what they are compared with, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The books.
    pub books: Books,
    /// Jobs that have not ended.
    pub jobs: i64,
    /// The sizes of the indexes by route and account.
    pub indexed: BTreeMap<(u32, Account), i64>,
    /// When, UTC ms.
    pub at: i64,
}

/// Something that does not balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The route; `None` for all jobs of the queue.
    pub route: Option<u32>,
    /// The account; `None` for all accounts of jobs that have not ended.
    pub account: Option<Account>,
    /// What the books say.
    pub books: i64,
    /// What is there.
    pub found: i64,
}

impl Balance {
    /// What does not balance. Empty at every moment, unless keys were changed manually or lost.
    pub fn drifts(&self) -> Vec<Drift> {
        let balance = |route, account: Account| self.books.balance(route, account);
        let open = self
            .books
            .routes()
            .into_iter()
            .flat_map(|route| Account::ALL.map(|account| (route, account)))
            .filter(|(_, account)| account.has_work())
            .map(|(route, account)| balance(route, account))
            .sum();
        let jobs = Drift { route: None, account: None, books: open, found: self.jobs };
        let indexed = self.indexed.iter().map(|((route, account), found)| {
            let waiving = if *account == Account::Waived { balance(*route, Account::Waiving) } else { 0 };
            Drift {
                route: Some(*route),
                account: Some(*account),
                books: balance(*route, *account) + waiving,
                found: *found,
            }
        });
        std::iter::once(jobs).chain(indexed).filter(|drift| drift.books != drift.found).collect()
    }
}

impl Client {
    /// Moves expectations whose due time passed to overdue, a bounded number a call, if this process
    /// watches the queue or nothing does. `process` names it without blanks; its right to watch lasts
    /// for `lease` from the call. `stale` is the lease of another process that has not changed for too
    /// long: this process takes over from that.
    ///
    /// # Errors
    /// When Redis failed; the next call continues.
    pub async fn watch(&self, process: &str, lease: Duration, stale: Option<&str>) -> Result<Watched, Error> {
        let mut call = Call::new(&scripts::OVERDUE, self.keys());
        call.arg(process).arg(delay_ms(lease)).arg(DUE_IDS).arg(stale.unwrap_or_default());
        let (elsewhere, _, overdue, more): (String, i64, u64, u8) = call.run(&mut self.conn.clone()).await?;
        if elsewhere.is_empty() {
            Ok(Watched::Here { overdue, more: more == 1 })
        } else {
            Ok(Watched::Elsewhere(elsewhere))
        }
    }

    /// The books and what they are compared with, O(routes).
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn balance(&self) -> Result<Balance, Error> {
        type Reply = (Vec<(String, u64)>, i64, Vec<(String, i64)>, i64);
        let call = Call::new(&scripts::BALANCE, self.keys());
        let (books, jobs, indexed, at): Reply = call.run(&mut self.conn.clone()).await?;
        let index = |(name, size): &(String, i64)| {
            let (route, account) = name.split_once('|')?;
            let account = account.parse().ok().and_then(Account::from_letter)?;
            Some(((route.parse().ok()?, account), *size))
        };
        Ok(Balance {
            books: Books::read(books.iter().map(|(name, count)| (name.as_str(), *count))),
            jobs,
            indexed: indexed.iter().filter_map(index).filter(|((route, _), _)| *route != NO_ROUTE).collect(),
            at,
        })
    }
}
