//! Values with bounds. An impossible value is refused with the name of its flag.

use chrono::{DateTime, TimeDelta, Utc};
use upshot_shared::duration as durations;

/// Checks a duration and passes its text on, because the API reads it.
pub fn duration(text: &str) -> Result<String, String> {
    durations::parse(text).map(|_| text.to_owned())
}

/// Reads a time, or how long ago it was.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = durations::parse(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    let time = ago.and_then(|ago| Utc::now().checked_sub_signed(ago));
    time.ok_or_else(|| {
        format!("`{text}` is not a time: write it like 2026-03-14T09:30:00Z, or 2h for two hours ago")
    })
}
