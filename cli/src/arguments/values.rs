//! Values with bounds. An impossible value is refused with the name of its flag.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use upshot_shared::duration as durations;

/// Checks a duration and passes its text on, because the API reads it.
pub fn duration(text: &str) -> Result<String, String> {
    durations::parse(text).map(|_| text.to_owned())
}

/// Reads a time: RFC 3339, a day, or how long ago.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = text.parse::<DateTime<Utc>>() {
        return Ok(time);
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let ago = durations::parse(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| Utc::now().checked_sub_signed(ago)).ok_or_else(|| {
        "write a time such as 2026-03-14T09:00:00Z, a day such as 2026-03-14 (UTC), or how long ago, such as 24h"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_three_ways() {
        let time: DateTime<Utc> = "2026-03-14T09:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-03-14T10:00:00+01:00").unwrap(), time);
        assert_eq!(moment("2026-03-14").unwrap(), time - TimeDelta::hours(9));
        assert!(moment("24h").unwrap() < Utc::now() - TimeDelta::hours(23));
        assert!(moment("yesterday").unwrap_err().contains("2026-03-14"));
    }
}
