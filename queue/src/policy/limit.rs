//! Limits across all processes: their keys and their stored form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::job::flow::encode;

/// The key of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitKey {
    /// All jobs of the queue.
    Queue,
    /// The jobs of one tenant; its weight too.
    Tenant(String),
    /// The jobs that name this key, such as `smtp`: a provider, a customer's database.
    Key(String),
}

impl LimitKey {
    /// The field in `limits`, and the suffix of `holders:` and `blocked:`.
    pub(crate) fn stored(&self) -> String {
        match self {
            Self::Queue => "queue".to_owned(),
            Self::Tenant(name) => format!("tenant:{}", encode(name)),
            Self::Key(name) => format!("key:{}", encode(name)),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue => f.write_str("queue"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Key(name) => write!(f, "key:{name}"),
        }
    }
}

impl Serialize for LimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A word that is not a limit key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a limit key: use `queue`, `tenant:NAME` or `key:NAME`")]
pub struct UnknownLimitKey(pub String);

impl FromStr for LimitKey {
    type Err = UnknownLimitKey;

    fn from_str(s: &str) -> Result<Self, UnknownLimitKey> {
        match s.split_once(':') {
            None if s == "queue" => Ok(Self::Queue),
            Some(("tenant", name)) if !name.is_empty() => Ok(Self::Tenant(name.to_owned())),
            Some(("key", name)) if !name.is_empty() => Ok(Self::Key(name.to_owned())),
            _ => Err(UnknownLimitKey(s.to_owned())),
        }
    }
}

/// A limit. Without any field set there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// Jobs that run at once, in all processes; 0 stops all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Jobs that start a second, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Jobs that may start at once after a quiet time; at least 1, and 1 if only a rate is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// For a tenant: its share; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// The smallest weight. Smaller ones would exhaust the range of virtual time.
pub(crate) const LIGHTEST: f64 = 0.01;
/// The largest weight. The step in virtual time of larger ones would be rounded away.
pub(crate) const HEAVIEST: f64 = 100.0;

/// The slowest rate, in jobs a second: one job in eleven days. The time of the next job at slower
/// rates would overflow.
pub(crate) const SLOWEST: f64 = 0.000_001;
/// The fastest rate.
pub(crate) const FASTEST: f64 = 1_000_000.0;

/// An invalid limit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadLimit {
    /// The text is not a number.
    #[error("{what} `{text}` is not a number")]
    NoNumber {
        /// What: `rate` or `weight`.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// The rate is out of range.
    #[error(
        "rate {0} cannot be kept: use {SLOWEST} to {FASTEST} (jobs a second), or a concurrency of 0 to hold all"
    )]
    Rate(f64),
    /// The burst has no rate, or is below 1.
    #[error("burst {0} cannot be kept: it goes with a rate and is at least 1")]
    Burst(u32),
    /// The weight is out of range, or not a tenant's.
    #[error("weight {weight} of {key} cannot be kept: only a tenant has one, of {LIGHTEST} to {HEAVIEST}")]
    Weight {
        /// What was asked for.
        weight: f64,
        /// The key.
        key: LimitKey,
    },
}

impl BadLimit {
    /// The part of a limit that is wrong: `rate`, `burst` or `weight`.
    pub fn part(&self) -> &'static str {
        match self {
            Self::NoNumber { what, .. } => what,
            Self::Rate(_) => "rate",
            Self::Burst(_) => "burst",
            Self::Weight { .. } => "weight",
        }
    }

    /// What was asked for.
    pub fn value(&self) -> String {
        match self {
            Self::NoNumber { text, .. } => text.clone(),
            Self::Rate(rate) => rate.to_string(),
            Self::Burst(burst) => burst.to_string(),
            Self::Weight { weight, .. } => weight.to_string(),
        }
    }
}

/// A valid rate, in jobs a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(f64);

impl TryFrom<f64> for Rate {
    type Error = BadLimit;

    fn try_from(rate: f64) -> Result<Self, BadLimit> {
        // None of the comparisons is true of NaN.
        if (SLOWEST..=FASTEST).contains(&rate) { Ok(Self(rate)) } else { Err(BadLimit::Rate(rate)) }
    }
}

impl FromStr for Rate {
    type Err = BadLimit;

    fn from_str(s: &str) -> Result<Self, BadLimit> {
        let rate: f64 = s.parse().map_err(|_| BadLimit::NoNumber { what: "rate", text: s.to_owned() })?;
        rate.try_into()
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

/// A valid weight of a tenant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight(f64);

impl FromStr for Weight {
    type Err = BadLimit;

    fn from_str(s: &str) -> Result<Self, BadLimit> {
        let weight: f64 = s.parse().map_err(|_| BadLimit::NoNumber { what: "weight", text: s.to_owned() })?;
        let bad = BadLimit::Weight { weight, key: LimitKey::Tenant("…".to_owned()) };
        (LIGHTEST..=HEAVIEST).contains(&weight).then_some(Self(weight)).ok_or(bad)
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl Limit {
    /// At most this many jobs at once.
    pub fn concurrency(n: u32) -> Self {
        Self { concurrency: Some(n), ..Self::default() }
    }

    /// At most this many jobs a second on average, and `burst` at once.
    pub fn rate(rate: f64, burst: u32) -> Self {
        Self { rate: Some(rate), burst: Some(burst), ..Self::default() }
    }

    /// A tenant's weight.
    pub fn weight(weight: f64) -> Self {
        Self { weight: Some(weight), ..Self::default() }
    }

    /// As it is stored: a rate without a burst has one of 1.
    #[must_use]
    pub fn with_burst(self) -> Self {
        Self { burst: self.burst.or(self.rate.map(|_| 1)), ..self }
    }

    /// Checks the limit. Setting it checks the same.
    ///
    /// # Errors
    /// When the limit is invalid.
    pub fn check(&self, key: &LimitKey) -> Result<(), BadLimit> {
        self.stored(key).map(drop)
    }

    /// `concurrency|tokens a second|burst|weight`; empty when nothing is limited.
    pub(crate) fn stored(&self, key: &LimitKey) -> Result<String, BadLimit> {
        if *self == Self::default() {
            return Ok(String::new());
        }
        self.rate.map(Rate::try_from).transpose()?;
        if let Some(burst) = self.burst.filter(|burst| *burst == 0 || self.rate.is_none()) {
            return Err(BadLimit::Burst(burst));
        }
        let tenant = matches!(key, LimitKey::Tenant(_));
        let kept = |weight: f64| tenant && (LIGHTEST..=HEAVIEST).contains(&weight);
        if let Some(weight) = self.weight.filter(|weight| !kept(*weight)) {
            return Err(BadLimit::Weight { weight, key: key.clone() });
        }
        let text = |number: Option<String>| number.unwrap_or_default();
        let burst = self.with_burst().burst.map(|burst| burst.to_string());
        Ok(format!(
            "{}|{}|{}|{}",
            text(self.concurrency.map(|n| n.to_string())),
            text(self.rate.map(|rate| rate.to_string())),
            text(burst),
            text(self.weight.map(|weight| weight.to_string()))
        ))
    }

    /// Whole tokens that a rate has at a time (UTC ms), from its stored bucket (the tokens, and the
    /// µs when they were counted). A rate without a bucket has its whole burst.
    pub(crate) fn tokens(&self, bucket: Option<&str>, now: i64) -> Option<u64> {
        let (rate, burst) = (self.rate?, f64::from(self.burst.unwrap_or(1)));
        let read = |bucket: &str| {
            let (left, since) = bucket.split_once(' ')?;
            let (left, since): (f64, f64) = (left.parse().ok()?, since.parse().ok()?);
            let seconds = (now as f64 / 1e3 - since / 1e6).max(0.0);
            Some(burst.min(left + seconds * rate))
        };
        Some(bucket.and_then(read).unwrap_or(burst) as u64)
    }

    /// Reads the stored form. An unreadable limit does not limit.
    pub(crate) fn read(stored: &str) -> Self {
        let mut parts = stored.split('|');
        let mut part = || parts.next().unwrap_or_default();
        Self {
            concurrency: part().parse().ok(),
            rate: part().parse().ok(),
            burst: part().parse().ok(),
            weight: part().parse().ok(),
        }
    }

    /// The claim after which all jobs count, in the stored form.
    pub(crate) fn counted_from(stored: &str) -> Option<u64> {
        stored.rsplit('|').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            concurrency in prop::option::of(0u32..1000),
            rate in prop::option::of(0.001f64..1_000_000.0),
            burst in prop::option::of(1u32..1000),
            weight in prop::option::of(LIGHTEST..HEAVIEST),
        ) {
            let burst = rate.and(burst);
            let limit = Limit { concurrency, rate, burst, weight };
            let stored = limit.stored(&LimitKey::Tenant("a".into())).unwrap();
            prop_assert_eq!(Limit::read(&stored), limit.with_burst());
            prop_assert_eq!(limit.with_burst().burst, rate.map(|_| burst.unwrap_or(1)));
        }
    }

    #[test]
    fn tokens_come_at_their_rate_up_to_the_burst() {
        let limit = Limit::rate(2.0, 5);
        let at = |ms| limit.tokens(Some("1.500000 1000000"), ms);
        assert_eq!([at(0), at(1000), at(1250), at(2000), at(60_000)].map(Option::unwrap), [1, 1, 2, 3, 5]);
        assert_eq!(limit.tokens(None, 0), Some(5));
        assert_eq!(Limit::concurrency(2).tokens(None, 0), None);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let key = LimitKey::Key("smtp".into());
        for rate in [0.0, -0.0, -1.0, 1e-300, 9e-7, 1e7, f64::INFINITY, f64::NEG_INFINITY] {
            let bad = Limit::rate(rate, 1).stored(&key).unwrap_err();
            assert_eq!((bad.part(), bad.value()), ("rate", rate.to_string()));
            assert!(rate.to_string().parse::<Rate>().is_err(), "{rate}");
        }
        // It clears nothing.
        assert_eq!(Limit::rate(f64::NAN, 1).stored(&key).unwrap_err().part(), "rate");
        for text in ["nan", "NaN", "inf", "1e-300", "", "one"] {
            assert_eq!(text.parse::<Rate>().unwrap_err().part(), "rate", "{text}");
            assert_eq!(text.parse::<Weight>().unwrap_err().part(), "weight", "{text}");
        }
        assert_eq!("0.5".parse::<Rate>().map(f64::from), Ok(0.5));
        let weight = Limit::weight(f64::NAN).stored(&LimitKey::Tenant("a".into()));
        assert_eq!(weight.unwrap_err().part(), "weight");
        assert_eq!(Limit { burst: Some(3), ..Limit::default() }.stored(&key), Err(BadLimit::Burst(3)));
        assert!(matches!(Limit::weight(2.0).stored(&key), Err(BadLimit::Weight { .. })));
        assert!(Limit::weight(2.0).stored(&LimitKey::Tenant("a".into())).is_ok());
    }

    #[test]
    fn keys_are_read_as_they_are_shown() {
        for key in [LimitKey::Queue, LimitKey::Tenant("a:b".into()), LimitKey::Key("smtp".into())] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for bad in ["", "smtp", "tenant:", "kind:x"] {
            assert!(bad.parse::<LimitKey>().is_err(), "{bad}");
        }
    }
}
