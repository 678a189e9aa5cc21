//! What is to be told, and when it is tried again.
//!
//! A notice stands in the state before it is sent, and its id and bytes stay the same. So a process
//! that is killed after a send makes the next one send the same again, which the receiver knows by
//! its id.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Notices that wait at most; the oldest go first.
pub const MOST: usize = 500;
/// A notice that could not be told for so long is dropped, ms.
pub const KEPT_MS: i64 = 24 * 3_600_000;
/// The longest wait that a receiver may ask for, ms.
const MOST_WAIT_MS: i64 = 3_600_000;
/// The waits after failures, ms; the last one repeats.
const WAITS_MS: [i64; 6] = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000];

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its id, the same in each attempt.
    pub id: String,
    /// The key of its alarm.
    pub of: String,
    /// What is sent.
    pub body: String,
    /// When it was made, UTC ms.
    pub made_at: i64,
    /// Attempts that failed.
    pub failures: u32,
    /// Not before this time, UTC ms.
    pub not_before: i64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The receiver took it.
    Taken,
    /// It did not, and nothing says that it takes others.
    Away {
        /// Why.
        why: String,
        /// How long it asks to wait, ms.
        wait: Option<i64>,
    },
    /// It refuses this one.
    Refused {
        /// Why.
        why: String,
    },
    /// It takes no more notices.
    Gone,
}

/// The notices that wait, and how the last attempts ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notices {
    /// In the order in which they were made.
    pub waiting: Vec<Notice>,
    /// Nothing is sent before this time (UTC ms), because the receiver is away.
    pub paused_until: i64,
    /// Attempts in a row that found it away.
    pub away: u32,
    /// Why the last attempt failed; `None` after a success.
    pub last_failure: Option<String>,
    /// When the last notice was taken, UTC ms.
    pub taken_at: Option<i64>,
    /// Notices that were dropped.
    pub dropped: u64,
    /// The receiver (a digest of its address) that takes no more.
    pub gone: Option<String>,
}

impl Notices {
    /// Adds a notice.
    pub(super) fn add(&mut self, id: String, of: String, body: String, now: i64) {
        self.waiting.push(Notice { id, of, body, made_at: now, failures: 0, not_before: now });
        let over = self.waiting.len().saturating_sub(MOST);
        self.waiting.drain(..over);
        self.dropped += over as u64;
    }

    /// Whether a notice of an alarm waits.
    pub(super) fn has_of(&self, key: &str) -> bool {
        self.waiting.iter().any(|notice| notice.of == key)
    }

    /// Drops what nobody needs any more: all of it while the receiver is gone, and what is too old.
    pub(super) fn tidy(&mut self, receiver: Option<&str>, now: i64) {
        if self.gone.as_deref() != receiver {
            self.gone = None;
        }
        if self.gone.is_some() || receiver.is_none() {
            self.waiting.clear();
            return;
        }
        let before = self.waiting.len();
        self.waiting.retain(|notice| now.saturating_sub(notice.made_at) < KEPT_MS);
        self.dropped += (before - self.waiting.len()) as u64;
    }

    /// The next notice to send now. Notices of one alarm keep their order; one that is refused, or fails
    /// again and again, does not hold up those of other alarms.
    pub fn next(&self, now: i64) -> Option<&Notice> {
        if now < self.paused_until {
            return None;
        }
        let mut held = BTreeSet::new();
        let firsts = self.waiting.iter().filter(|notice| held.insert(&notice.of));
        firsts.filter(|notice| notice.not_before <= now).min_by_key(|notice| notice.failures)
    }

    /// Notes how an attempt to send a notice ended. `receiver` is the digest of its address.
    pub fn told(&mut self, id: &str, told: Told, receiver: &str, now: i64) {
        let wait = |failures: u32| {
            let place = usize::try_from(failures).unwrap_or(usize::MAX).saturating_sub(1);
            let last = WAITS_MS.len() - 1;
            WAITS_MS.get(place.min(last)).copied().unwrap_or(MOST_WAIT_MS)
        };
        match told {
            Told::Taken => {
                self.waiting.retain(|notice| notice.id != id);
                (self.away, self.paused_until, self.last_failure) = (0, 0, None);
                self.taken_at = Some(now);
            }
            Told::Away { why, wait: asked } => {
                self.away = self.away.saturating_add(1);
                let wait = asked.unwrap_or(0).clamp(0, MOST_WAIT_MS).max(wait(self.away));
                self.paused_until = now.saturating_add(wait);
                self.last_failure = Some(why);
                self.failed(id, now);
            }
            Told::Refused { why } => {
                self.failed(id, now);
                if let Some(notice) = self.waiting.iter_mut().find(|notice| notice.id == id) {
                    notice.not_before = now.saturating_add(wait(notice.failures));
                }
                (self.away, self.paused_until, self.last_failure) = (0, 0, Some(why));
            }
            Told::Gone => {
                self.gone = Some(receiver.to_owned());
                self.waiting.clear();
                self.last_failure = Some("410: it takes no more alarms".to_owned());
            }
        }
    }

    fn failed(&mut self, id: &str, now: i64) {
        if let Some(notice) = self.waiting.iter_mut().find(|notice| notice.id == id) {
            notice.failures = notice.failures.saturating_add(1);
            notice.not_before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notices(of: &[&str]) -> Notices {
        let mut notices = Notices::default();
        for (place, of) in of.iter().enumerate() {
            notices.add(place.to_string(), (*of).to_owned(), "{}".to_owned(), 0);
        }
        notices
    }

    fn next(notices: &Notices, now: i64) -> Option<&str> {
        notices.next(now).map(|notice| notice.id.as_str())
    }

    fn refused() -> Told {
        Told::Refused { why: "400".into() }
    }

    fn away(wait: Option<i64>) -> Told {
        Told::Away { why: "503".into(), wait }
    }

    #[test]
    fn a_notice_that_fails_lets_those_of_other_alarms_try_first() {
        let mut notices = notices(&["a", "a", "b"]);
        notices.told("0", away(None), "r", 0);
        assert_eq!((next(&notices, 4_999), next(&notices, 5_000)), (None, Some("2")));
        notices.told("2", Told::Taken, "r", 5_000);
        assert_eq!(next(&notices, 5_000), Some("0"));
    }

    #[test]
    fn a_refused_notice_holds_up_only_those_of_its_alarm() {
        let mut notices = notices(&["a", "a", "b"]);
        notices.told("0", refused(), "r", 0);
        assert_eq!(next(&notices, 0), Some("2"));
        notices.told("2", Told::Taken, "r", 0);
        assert_eq!((next(&notices, 4_999), next(&notices, 5_000)), (None, Some("0")));
        notices.told("0", Told::Taken, "r", 5_000);
        assert_eq!(next(&notices, 5_000), Some("1"));
    }

    #[test]
    fn a_receiver_that_is_away_is_left_alone_for_as_long_as_it_asks() {
        let mut notices = notices(&["a"]);
        notices.told("0", away(None), "r", 0);
        assert_eq!((next(&notices, 4_999), next(&notices, 5_000)), (None, Some("0")));
        notices.told("0", away(Some(90_000)), "r", 5_000);
        assert_eq!((next(&notices, 94_999), next(&notices, 95_000)), (None, Some("0")));
        assert_eq!(notices.waiting[0].failures, 2);
        notices.told("0", Told::Taken, "r", 95_000);
        assert_eq!((next(&notices, 95_000), notices.last_failure.clone()), (None, None));
    }

    #[test]
    fn a_receiver_that_is_gone_gets_nothing_until_the_address_changes() {
        let mut notices = notices(&["a", "b"]);
        notices.told("0", Told::Gone, "r", 0);
        assert_eq!(next(&notices, 0), None);
        notices.add("2".into(), "c".into(), "{}".into(), 1);
        notices.tidy(Some("r"), 1);
        assert_eq!(next(&notices, 1), None);
        notices.tidy(Some("other"), 2);
        notices.add("3".into(), "c".into(), "{}".into(), 2);
        assert_eq!(next(&notices, 2), Some("3"));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut notices = notices(&vec!["a"; MOST + 3]);
        assert_eq!((notices.waiting.len(), notices.dropped), (MOST, 3));
        notices.tidy(Some("r"), KEPT_MS);
        assert_eq!((notices.waiting.len(), notices.dropped), (0, MOST as u64 + 3));
    }

    proptest! {
        #[test]
        fn every_notice_is_taken_in_the_order_of_its_alarm(
            of in prop::collection::vec(0..3_u8, 0..12), answers in prop::collection::vec(0..3_u8, 0..30),
        ) {
            let mut notices = Notices::default();
            for (place, of) in of.iter().enumerate() {
                notices.add(place.to_string(), of.to_string(), String::new(), 0);
            }
            let (mut taken, mut now, mut answers) = (Vec::<usize>::new(), 0, answers.into_iter());
            for _ in 0..2_000 {
                let Some(id) = notices.next(now).map(|notice| notice.id.clone()) else {
                    now += 60_000;
                    continue;
                };
                let told = match answers.next() {
                    Some(0) => refused(),
                    Some(1) => away(None),
                    _ => { taken.push(id.parse().unwrap()); Told::Taken }
                };
                notices.told(&id, told, "r", now);
            }
            prop_assert!(notices.waiting.is_empty());
            for alarm in 0..3 {
                let order: Vec<usize> = taken.iter().copied().filter(|place| of[*place] == alarm).collect();
                prop_assert!(order.is_sorted());
            }
            let mut all = taken;
            all.sort_unstable();
            prop_assert_eq!(all, (0..of.len()).collect::<Vec<_>>());
        }
    }
}
