//! Reads the books: how many expectations of each route moved between which accounts.

use std::collections::{BTreeMap, HashMap};

use crate::{
    client::{handle::Client, outbox::parse_move},
    error::Error,
    policy::account::Account,
};

/// The number of the route of jobs that were enqueued without an expectation. They are in the books,
/// so that the books can be compared with the queue's counts.
pub const NO_ROUTE: u32 = 0;

/// The books of a queue: monotone counts of moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// By route, from which account and to which.
    pub moves: BTreeMap<(u32, Account, Account), u64>,
}

impl Books {
    /// Reads books in their stored form, pairs of `route|from>to` and a count. Leaves out what a
    /// newer version wrote.
    pub(crate) fn read<'a>(fields: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let moves = fields.into_iter().filter_map(|(name, count)| Some((parse_move(name)?, count)));
        Self { moves: moves.collect() }
    }

    /// How often expectations of a route moved from one account to another.
    pub fn count(&self, route: u32, from: Account, to: Account) -> u64 {
        self.moves.get(&(route, from, to)).copied().unwrap_or(0)
    }

    /// How often expectations of a route came into an account, from any.
    pub fn arrivals(&self, route: u32, account: Account) -> u64 {
        self.of(route).filter(|(_, to, _)| *to == account).map(|(.., count)| count).sum()
    }

    /// How many expectations of a route are in an account. It is negative for the source.
    pub fn balance(&self, route: u32, account: Account) -> i64 {
        let sum = |way: fn((Account, Account)) -> Account| -> i64 {
            let moves = self.of(route).filter(|(from, to, _)| way((*from, *to)) == account);
            moves.map(|(.., count)| i64::try_from(count).unwrap_or(i64::MAX)).sum()
        };
        sum(|(_, to)| to) - sum(|(from, _)| from)
    }

    /// The numbers of its routes, in order; [`NO_ROUTE`] is one of them where there is such a job.
    pub fn routes(&self) -> Vec<u32> {
        let mut routes: Vec<u32> = self.moves.keys().map(|(route, ..)| *route).collect();
        routes.dedup();
        routes
    }

    /// The moves of a route.
    fn of(&self, route: u32) -> impl Iterator<Item = (Account, Account, u64)> {
        let least = (route, Account::Received, Account::Received);
        let moves = self.moves.range(least..).take_while(move |((each, ..), _)| *each == route);
        moves.map(|((_, from, to), count)| (*from, *to, *count))
    }

    /// What moved since earlier books.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let moved = |(key, count): (&(u32, Account, Account), &u64)| {
            let before = earlier.moves.get(key).copied().unwrap_or(0);
            (*key, count.saturating_sub(before))
        };
        Self { moves: self.moves.iter().map(moved).filter(|(_, count)| *count > 0).collect() }
    }
}

impl Client {
    /// The books at present, O(routes).
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn books(&self) -> Result<Books, Error> {
        self.check_layout().await?;
        let fields: Vec<(String, u64)> =
            redis::cmd("HGETALL").arg(self.keys.books()).query_async(&mut self.conn.clone()).await?;
        Ok(Books::read(fields.iter().map(|(name, count)| (name.as_str(), *count))))
    }

    /// The names of the routes by their numbers. A route gets its number with its first job.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn routes(&self) -> Result<BTreeMap<u32, String>, Error> {
        self.check_layout().await?;
        let numbers: HashMap<String, u32> =
            redis::cmd("HGETALL").arg(self.keys.routes()).query_async(&mut self.conn.clone()).await?;
        Ok(numbers.into_iter().map(|(name, number)| (number, name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn balances_follow_from_moves() {
        let stored = [("3|r>o", 10), ("3|o>t", 4), ("3|o>m", 2), ("3|m>n", 1), ("12|r>o", 1), ("3|b>a", 7)];
        let books = Books::read(stored);
        assert_eq!(books.routes(), [3, 12]);
        let balances = [Account::Open, Account::AchievedInTime, Account::Missed, Account::Reopened]
            .map(|account| books.balance(3, account));
        assert_eq!(balances, [4, 4, 1, 1]);
        assert_eq!((books.arrivals(3, Account::Missed), books.balance(3, Account::Received)), (2, -10));
        let later = Books::read([("3|r>o", 12), ("3|o>t", 4), ("7|r>o", 1)]);
        let moved = later.since(&books);
        assert_eq!(moved, Books::read([("3|r>o", 2), ("7|r>o", 1)]));
    }

    proptest! {
        #[test]
        fn the_balances_of_a_route_are_what_it_received(
            moves in prop::collection::vec((0..3u32, 0..14usize, 0..14usize, 0..1_000u64), 0..40),
        ) {
            let moves = moves.into_iter().map(|(route, from, to, n)| ((route, Account::ALL[from], Account::ALL[to]), n));
            let books = Books { moves: moves.collect() };
            for route in 0..3 {
                let sum: i64 = Account::ALL.into_iter().map(|account| books.balance(route, account)).sum();
                prop_assert_eq!(sum, 0);
            }
        }
    }
}
