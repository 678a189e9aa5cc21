//! Durations as people write them: `500ms`, `30s`, `7days`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::job::MAX_TIME;

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
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
