//! Times and lengths of time in words.

use chrono::{DateTime, Utc};

/// A length of time (ms) in its largest unit or two: `850 ms`, `37 s`, `12 min`, `2 h 5 min`, `3 d`.
/// From ten of a unit on it is rounded to the unit.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let two = |large: i64, unit: &str, small: i64, rest_unit: &str| {
        let (whole, rest) = (ms / large, ms % large / small);
        if whole >= 10 {
            format!("{} {unit}", (ms + large / 2) / large)
        } else if rest == 0 {
            format!("{whole} {unit}")
        } else {
            format!("{whole} {unit} {rest} {rest_unit}")
        }
    };
    match ms {
        i64::MIN..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 => two(60_000, "min", 1_000, "s"),
        3_600_000..172_800_000 => two(3_600_000, "h", 60_000, "min"),
        _ => two(86_400_000, "d", 3_600_000, "h"),
    }
}

/// A time to the second.
pub(crate) fn moment(ms: i64) -> String {
    let time: Option<DateTime<Utc>> = DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| format!("{ms} ms"), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_unit_or_two() {
        for (ms, words) in [
            (-5, "0 ms"),
            (850, "850 ms"),
            (2_100, "2.1 s"),
            (37_900, "37 s"),
            (90_000, "1 min 30 s"),
            (720_000, "12 min"),
            (899_160, "15 min"),
            (7_500_000, "2 h 5 min"),
            (36_000_000, "10 h"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(ms), words);
        }
    }
}
