//! Times in answers: RFC 3339, UTC, with milliseconds.

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A time: RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-03-14T09:26:53.589Z")]
pub struct Moment(
    /// UTC ms since 1970.
    pub i64,
);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only a time beyond the year 262,000 cannot be written.
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_always_written() {
        let text = serde_json::to_string(&Moment(1_773_480_413_000)).unwrap();
        assert_eq!(text, r#""2026-03-14T09:26:53.000Z""#);
    }
}
