//! Durations as people write them: `500ms`, `30s`, `90d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::job::MAX_TIME;

/// The units, the largest first, in ns.
const UNITS: [(&str, u128); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// A duration as a whole number of the largest unit that it is a multiple of.
pub(super) fn shown(duration: Duration) -> String {
    let ns = duration.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    match UNITS.iter().find(|(_, unit)| ns.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", ns / unit),
        None => format!("{ns}ns"),
    }
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(read) if read <= MAX_TIME => Ok(read),
        Ok(_) => Err(D::Error::custom(format!("`{text}` is more than a century: use 36500d at most"))),
        Err(why) => Err(D::Error::custom(format!(
            "`{text}` is not a duration ({why}): write it like 500ms, 30s, 5m, 7d"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_number_and_one_unit_are_shown() {
        let ms = Duration::from_millis;
        let shown = [0, 200, 1_500, 90_000, 3_600_000, 5_184_000_000].map(|n| shown(ms(n)));
        assert_eq!(shown, ["0s", "200ms", "1500ms", "90s", "1h", "60d"]);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(ns in 0u64..3_000_000_000_000_000_000) {
            let duration = Duration::from_nanos(ns);
            prop_assert_eq!(humantime::parse_duration(&shown(duration)), Ok(duration));
        }
    }
}
