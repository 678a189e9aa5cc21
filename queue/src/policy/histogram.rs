//! Histograms of times: small, and any number of them can be added up.
//!
//! A bucket is 2^(1/8) times as wide as the one before, and stands for its geometric middle. So a
//! quantile is at most 2^(1/16) - 1 = 4.4 % beside the time that a list of all times would give, or
//! half a ms.

use std::{collections::BTreeMap, f64::consts::LN_2};

/// Buckets in which a time doubles.
const PER_DOUBLING: f64 = 8.0;
/// Keeps whole powers of 2 in their bucket, whatever a logarithm rounds to.
const ROUNDING: f64 = 1e-9;

/// The bucket of a time (ms); 0 for no time at all.
pub fn bucket_of(ms: i64) -> u16 {
    if ms <= 0 {
        return 0;
    }
    let nth = ((ms as f64).ln() / LN_2 * PER_DOUBLING + ROUNDING).floor();
    // At most 505, for 2^63 ms.
    nth as u16 + 1
}

/// The time (ms) for which a bucket stands.
fn time_of(bucket: u16) -> i64 {
    match bucket {
        0 => 0,
        nth => ((f64::from(nth) - 0.5) / PER_DOUBLING).exp2().round() as i64,
    }
}

/// A histogram of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: BTreeMap<u16, u64>,
}

impl Histogram {
    /// Adds times of one bucket.
    pub fn add(&mut self, bucket: u16, n: u64) {
        if n > 0 {
            let count = self.buckets.entry(bucket).or_default();
            *count = count.saturating_add(n);
        }
    }

    /// Adds the times of another histogram.
    pub fn merge(&mut self, other: &Self) {
        other.buckets.iter().for_each(|(bucket, n)| self.add(*bucket, *n));
    }

    /// How many times it has.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |all, n| all.saturating_add(*n))
    }

    /// The time (ms) that a share of all times (0 to 1) does not exceed; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<i64> {
        let rank = (share.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0);
        let mut seen = 0_u64;
        self.buckets.iter().find_map(|(bucket, n)| {
            seen = seen.saturating_add(*n);
            (seen as f64 >= rank).then(|| time_of(*bucket))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|ms| histogram.add(bucket_of(*ms), 1));
        histogram
    }

    #[test]
    fn a_doubling_has_eight_buckets() {
        assert_eq!((bucket_of(-5), bucket_of(0), bucket_of(1)), (0, 0, 1));
        for power in 0..62 {
            assert_eq!(bucket_of(1 << power), 8 * power as u16 + 1, "2^{power}");
        }
        assert_eq!(bucket_of(i64::MAX), 505);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_as_exact_as_it_is_stated(
            mut times in prop::collection::vec(prop_oneof![0_i64..50, 0_i64..100_000, 0_i64..1 << 40], 1..200),
            share in 0.0_f64..1.0,
        ) {
            let found = of(&times).quantile(share).unwrap();
            times.sort_unstable();
            let rank = ((share * times.len() as f64).ceil() as usize).max(1);
            let exact = times[rank - 1];
            let most = exact as f64 * 0.0443 + 0.5;
            prop_assert!((found - exact).abs() as f64 <= most, "{} instead of {}", found, exact);
        }

        #[test]
        fn parts_add_up_to_the_whole(
            one in prop::collection::vec(0_i64..1 << 40, 0..50), other in prop::collection::vec(0_i64..1 << 40, 0..50),
        ) {
            let mut sum = of(&one);
            sum.merge(&of(&other));
            prop_assert_eq!(sum, of(&[one, other].concat()));
        }
    }
}
