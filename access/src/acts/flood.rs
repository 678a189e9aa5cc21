//! How many refusals have entries of their own.
//!
//! A client that guesses tokens is refused thousands of times a second. Each address has a few
//! entries a minute, and all addresses together have some more. The rest is counted.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::act::Suppressed;

/// Entries of an address a minute.
const OF_ADDRESS: u32 = 10;
/// Entries of all addresses a minute, in this process.
const OF_ALL: u32 = 60;
/// Addresses that are told apart in a minute.
const ADDRESSES: usize = 1_000;
/// Addresses that a count names.
const NAMED: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts refusals. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Flood(Arc<Mutex<Counts>>);

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has an entry.
    Entry,
    /// It is counted.
    Suppressed,
}

#[derive(Debug, Default)]
struct Counts {
    /// When the minute began.
    since: Option<Instant>,
    entries: u32,
    by_address: HashMap<String, u32>,
    suppressed: u64,
    suppressed_by_address: HashMap<String, u64>,
}

impl Flood {
    pub(super) fn verdict(&self, address: Option<&str>) -> Verdict {
        self.counts().verdict(address, Instant::now())
    }

    /// The refusals that were counted; `None` if there are none.
    pub(super) fn take(&self) -> Option<Suppressed> {
        let mut counts = self.counts();
        let refusals = std::mem::take(&mut counts.suppressed);
        let mut all: Vec<(String, u64)> = counts.suppressed_by_address.drain().collect();
        drop(counts);
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(NAMED);
        (refusals > 0).then(|| Suppressed { refusals, addresses: all.into_iter().collect() })
    }

    /// Counts refusals again that could not be written.
    pub(super) fn give_back(&self, suppressed: &Suppressed) {
        let mut counts = self.counts();
        counts.suppressed += suppressed.refusals;
        for (address, count) in &suppressed.addresses {
            *counts.suppressed_by_address.entry(address.clone()).or_default() += count;
        }
    }

    /// A panic elsewhere cannot leave the counts half changed, so a poisoned lock is taken.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn verdict(&mut self, address: Option<&str>, now: Instant) -> Verdict {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= MINUTE) {
            self.since = Some(now);
            self.entries = 0;
            self.by_address.clear();
        }
        let group = group(address.unwrap_or_default());
        let is_known = self.by_address.len() < ADDRESSES || self.by_address.contains_key(&group);
        let entries = if is_known { self.by_address.get(&group).copied().unwrap_or(0) } else { OF_ADDRESS };
        if self.entries < OF_ALL && entries < OF_ADDRESS {
            self.entries += 1;
            self.by_address.insert(group, entries + 1);
            return Verdict::Entry;
        }
        self.suppressed += 1;
        if self.suppressed_by_address.len() < ADDRESSES || self.suppressed_by_address.contains_key(&group) {
            *self.suppressed_by_address.entry(group).or_default() += 1;
        }
        Verdict::Suppressed
    }
}

/// What is told apart: an address of IPv4, and a network of IPv6 (/64), which has one owner.
fn group(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => address.chars().take(45).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_refusal_is_lost_and_entries_are_bounded(
            refusals in prop::collection::vec((0_u64..200, 0_u8..20), 1..600),
        ) {
            let flood = Flood::default();
            let begin = Instant::now();
            let (mut at, mut entries) = (Duration::ZERO, 0_u64);
            for (ms, address) in &refusals {
                at += Duration::from_millis(*ms);
                let address = format!("10.0.0.{address}");
                let verdict = flood.counts().verdict(Some(&address), begin + at);
                entries += u64::from(verdict == Verdict::Entry);
            }
            let minutes = at.as_secs() / 60 + 1;
            prop_assert!(entries <= minutes * u64::from(OF_ALL));
            let suppressed = flood.take();
            let counted = suppressed.as_ref().map_or(0, |of| of.refusals);
            prop_assert_eq!(entries + counted, refusals.len() as u64);
            prop_assert!(suppressed.is_none_or(|of| of.addresses.len() <= NAMED));
            prop_assert_eq!(flood.take(), None);
        }
    }

    #[test]
    fn one_address_leaves_room_for_others_until_all_have_used_it_up() {
        let flood = Flood::default();
        let entries =
            |address: &str| (0..100).filter(|_| flood.verdict(Some(address)) == Verdict::Entry).count();
        assert_eq!(entries("192.0.2.1"), OF_ADDRESS as usize);
        // One owner has a whole network.
        assert_eq!(entries("2001:db8::1") + entries("2001:db8::2"), OF_ADDRESS as usize);
        let others: usize = (2..100).map(|n| entries(&format!("192.0.2.{n}"))).sum();
        assert_eq!(others, (OF_ALL - 2 * OF_ADDRESS) as usize);
        let suppressed = flood.take().unwrap();
        assert_eq!(suppressed.refusals, 100 * 101 - u64::from(OF_ALL));
        assert_eq!(suppressed.addresses.len(), NAMED);
        flood.give_back(&suppressed);
        assert_eq!(flood.take(), Some(suppressed));
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let flood = Flood::default();
        for n in 0..5_000_u32 {
            flood.verdict(Some(&std::net::Ipv4Addr::from(n).to_string()));
        }
        let counts = flood.counts();
        assert!(counts.by_address.len() <= ADDRESSES && counts.suppressed_by_address.len() <= ADDRESSES);
        assert_eq!(counts.suppressed, 5_000 - u64::from(OF_ALL));
    }
}
