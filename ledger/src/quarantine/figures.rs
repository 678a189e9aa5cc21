//! The book of the bridge, and its comparison with RabbitMQ's depth.
//!
//! The book counts moves of messages between accounts, by reason. Its counts never fall. A balance is
//! what moved in minus what moved out, so the balance of `quarantined` equals the number of rows.
//!
//! | move | when |
//! |---|---|
//! | `received>quarantined` | a message that the book does not know |
//! | `received>duplicate` | a message came again |
//! | `quarantined>changed`, `changed>quarantined` | it came again and has another reason |
//! | `quarantined>forgotten` | its row is forgotten |
//! | `forgotten>quarantined` | it came again after that |
//! | `quarantined>released` | reserved |

use std::{collections::BTreeMap, sync::LazyLock};

use redis::Script;

use super::{Error, Quarantine, script};

static FIGURES: LazyLock<Script> = script!("#!lua flags=no-writes", "open.lua", "figures.lua");

/// The account of messages that are in quarantine and have a row.
const QUARANTINED: &str = "quarantined";
/// The account that every message comes from.
const RECEIVED: &str = "received";

/// The book, and what the rows come to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When they were read, by the clock of Redis, UTC ms.
    pub at: i64,
    /// Rows.
    pub rows: u64,
    /// What the rows take in Redis, about.
    pub bytes: u64,
    /// Copies in RabbitMQ that the rows stand for: a message that came twice has two.
    pub copies: u64,
    /// When the message of the oldest row first came, UTC ms.
    pub oldest: Option<i64>,
    /// Counts of moves, by `from`, `to` and reason.
    pub book: BTreeMap<(String, String, String), u64>,
}

/// The messages of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Messages in quarantine that have a row.
    pub listed: i64,
    /// Messages that were ever counted for this reason. Never falls.
    pub received: u64,
}

/// The rows beside RabbitMQ's own count of the messages in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Messages in RabbitMQ without a row: of an earlier version, of a forgotten row, or of a bridge
    /// that was killed before it could write the row.
    pub unlisted: u64,
    /// Copies of rows that RabbitMQ does not have: someone took them out.
    pub missing: u64,
}

impl Figures {
    /// The balance of each reason that the book knows.
    pub fn by_reason(&self) -> BTreeMap<&str, Balance> {
        let mut balances: BTreeMap<&str, Balance> = BTreeMap::new();
        for ((from, to, reason), count) in &self.book {
            let balance = balances.entry(reason).or_default();
            let signed = i64::try_from(*count).unwrap_or(i64::MAX);
            if to == QUARANTINED {
                balance.listed = balance.listed.saturating_add(signed);
            }
            if from == QUARANTINED {
                balance.listed = balance.listed.saturating_sub(signed);
            }
            if (from.as_str(), to.as_str()) == (RECEIVED, QUARANTINED) {
                balance.received = balance.received.saturating_add(*count);
            }
        }
        balances
    }

    /// Whether the book and the rows agree. They do not if another program changed one of them.
    pub fn is_balanced(&self) -> bool {
        let listed = self.by_reason().values().fold(0_i64, |sum, balance| sum.saturating_add(balance.listed));
        u64::try_from(listed) == Ok(self.rows)
    }

    /// How long the oldest row is there, in ms.
    pub fn oldest_age(&self) -> u64 {
        let age = self.oldest.map_or(0, |oldest| self.at.saturating_sub(oldest));
        u64::try_from(age).unwrap_or_default()
    }

    /// Compares the rows with the number of messages in RabbitMQ.
    pub fn reconcile(&self, depth: u64) -> Reconciled {
        Reconciled { unlisted: depth.saturating_sub(self.copies), missing: self.copies.saturating_sub(depth) }
    }
}

/// A move in its stored form, `from>to|reason`.
fn parse_move(name: &str) -> Option<(String, String, String)> {
    let (accounts, reason) = name.split_once('|')?;
    let (from, to) = accounts.split_once('>')?;
    Some((from.to_owned(), to.to_owned(), reason.to_owned()))
}

impl Quarantine {
    /// Reads the figures. The cost does not depend on the number of rows.
    ///
    /// # Errors
    /// When Redis failed or the ledger is damaged.
    pub async fn figures(&self) -> Result<Figures, Error> {
        type Reply = (i64, u64, String, String, String, Vec<(String, String)>);
        let call = self.call(&FIGURES);
        let (at, rows, bytes, copies, oldest, book): Reply =
            call.invoke_async(&mut self.conn.clone()).await?;
        // A damaged figure counts as 0, like in the script.
        let number = |text: &str| text.parse().unwrap_or_default();
        let oldest = oldest.parse().ok().map(|score: i64| score / 1000);
        let book = book.iter().filter_map(|(name, count)| Some((parse_move(name)?, number(count))));
        Ok(Figures { at, rows, bytes: number(&bytes), copies: number(&copies), oldest, book: book.collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figures(book: &[(&str, u64)]) -> Figures {
        let book = book.iter().map(|(name, count)| (parse_move(name).unwrap(), *count)).collect();
        Figures { book, ..Figures::default() }
    }

    #[test]
    fn a_balance_is_what_came_in_minus_what_went_out() {
        let figures = figures(&[
            ("received>quarantined|oversize", 9),
            ("received>duplicate|oversize", 5),
            ("quarantined>forgotten|oversize", 4),
            ("forgotten>quarantined|oversize", 1),
            ("quarantined>changed|oversize", 2),
            ("changed>quarantined|unknown_type", 2),
            ("quarantined>released|unknown_type", 1),
        ]);
        let balances = figures.by_reason();
        assert_eq!(balances["oversize"], Balance { listed: 4, received: 9 });
        assert_eq!(balances["unknown_type"], Balance { listed: 1, received: 0 });
        assert!(Figures { rows: 5, ..figures.clone() }.is_balanced());
        assert!(!Figures { rows: 4, ..figures }.is_balanced());
    }

    proptest! {
        #[test]
        fn a_difference_has_one_direction(copies in any::<u64>(), depth in any::<u64>()) {
            let Reconciled { unlisted, missing } = Figures { copies, ..Figures::default() }.reconcile(depth);
            prop_assert!(unlisted == 0 || missing == 0);
            prop_assert_eq!(u128::from(copies) + u128::from(unlisted), u128::from(depth) + u128::from(missing));
        }
    }
}
