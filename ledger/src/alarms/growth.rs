//! Counts that grew lately.
//!
//! A count that never falls says that something happens, and not whether it still does. So the state
//! of alarms notes each count, and since when it grows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A count that did not grow for so long is calm, ms.
pub const CALM_MS: i64 = 15 * 60_000;

/// A count as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What it was before it began to grow.
    base: u64,
    /// What it was at the last look.
    value: u64,
    /// When it last grew (UTC ms); `None` while it is calm.
    grew_at: Option<i64>,
}

/// Counts by name.
pub type Counts = BTreeMap<String, Count>;

/// Notes counts. Returns by how much each one grew that is not calm. `is_first` says that counts are
/// looked at for the first time: then what happened before is no news.
///
/// Names that are missing stay, because what could not be read did not fall to 0.
pub fn note(
    counts: &mut Counts,
    seen: &BTreeMap<String, u64>,
    is_first: bool,
    now: i64,
) -> BTreeMap<String, u64> {
    for (name, value) in seen {
        let value = *value;
        // One that appears later began at 0.
        let begin = if is_first { value } else { 0 };
        let count = counts.entry(name.clone()).or_insert(Count { base: begin, value: begin, grew_at: None });
        if value > count.value {
            count.grew_at = Some(now);
        } else if value < count.value {
            // It began anew.
            *count = Count { base: value, value, grew_at: None };
        }
        count.value = value;
        // A clock that was set back prolongs it, by 15 minutes at most.
        let is_over = count.grew_at.is_none_or(|at| now.saturating_sub(at.min(now)) >= CALM_MS);
        if is_over {
            (count.base, count.grew_at) = (value, None);
        } else {
            count.grew_at = count.grew_at.map(|at| at.min(now));
        }
    }
    let grown = counts.iter().filter(|(_, count)| count.grew_at.is_some());
    grown.map(|(name, count)| (name.clone(), count.value.saturating_sub(count.base))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn seen(value: u64) -> BTreeMap<String, u64> {
        [("a".to_owned(), value)].into()
    }

    #[test]
    fn a_count_grows_until_it_is_calm_for_a_while() {
        let mut counts = Counts::new();
        assert!(note(&mut counts, &seen(7), true, 0).is_empty(), "what happened before is no news");
        assert_eq!(note(&mut counts, &seen(9), false, MINUTE), seen(2));
        assert_eq!(note(&mut counts, &seen(9), false, 10 * MINUTE), seen(2));
        assert_eq!(note(&mut counts, &seen(10), false, 15 * MINUTE), seen(3));
        assert_eq!(note(&mut counts, &BTreeMap::new(), false, 20 * MINUTE), seen(3), "not read");
        assert!(note(&mut counts, &seen(10), false, 30 * MINUTE).is_empty());
        assert!(note(&mut counts, &seen(4), false, 31 * MINUTE).is_empty(), "it began anew");
        assert_eq!(note(&mut counts, &seen(5), false, 32 * MINUTE), seen(1));
        let new: BTreeMap<String, u64> = [("b".to_owned(), 2)].into();
        assert_eq!(note(&mut counts, &new, false, 33 * MINUTE)["b"], 2, "it began at 0");
    }

    proptest! {
        #[test]
        fn what_grew_is_told_at_once_and_forgotten_after_the_calm(
            steps in prop::collection::vec((0..5_u64, 1..20_i64), 1..40), first in 0..100_u64,
        ) {
            let (mut counts, mut value, mut now) = (Counts::new(), first, 0);
            note(&mut counts, &seen(value), true, now);
            let mut last = None;
            for (more, minutes) in steps {
                now += minutes * MINUTE;
                value += more;
                if more > 0 {
                    last = Some(now);
                }
                let grown = note(&mut counts, &seen(value), false, now);
                let is_on = last.is_some_and(|at| now - at < CALM_MS);
                prop_assert_eq!(grown.contains_key("a"), is_on);
                prop_assert!(grown.get("a").is_none_or(|n| (1..=value - first).contains(n)));
            }
        }
    }
}
