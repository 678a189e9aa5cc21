//! Durations in settings: `500ms`, `30s`, `5m`, `2h`, `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The longest duration, a century, so that the sum with a present time stays a valid time.
pub const LONGEST: Duration = upshot_queue::job::MAX_TIME;

/// Reads a duration of a century at most.
///
/// # Errors
/// What is wrong with it, and how to write it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text)
        .map_err(|why| format!("`{text}` is not a duration ({why}): write it like 500ms, 30s, 5m, 7d"))?;
    if read > LONGEST {
        return Err(format!("`{text}` is more than a century: use 36500d at most"));
    }
    Ok(read)
}

/// Reads a duration.
///
/// # Errors
/// When it is not written like `30s`, or is more than a century.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

/// Writes a duration.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// The same for an optional duration.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    /// Reads a duration that is there.
    ///
    /// # Errors
    /// When it is not written like `30s`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }

    /// Writes a duration that is there.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}
