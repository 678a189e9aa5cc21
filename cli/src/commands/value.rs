//! Fields of the API's answers as text.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

/// A time to the second.
const SECONDS: &str = "%Y-%m-%d %H:%M:%S UTC";

/// A time as the API takes it.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A field as text; `-` if it is null or missing.
pub fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// A field as text; empty if it is null or missing.
pub fn optional(value: &Value, name: &str) -> String {
    if has(value, name) { text(value, name) } else { String::new() }
}

/// Whether a field is there and not null.
pub fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|field| !field.is_null())
}

/// A field that is an object; an empty object if it is missing.
pub fn part<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// The members of a list.
pub fn list<'a>(value: &'a Value, name: &str) -> impl DoubleEndedIterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

/// A time field to the second; unchanged if it is not a time.
pub fn time(value: &Value, name: &str) -> String {
    let text = optional(value, name);
    text.parse::<DateTime<Utc>>().map_or(text, |time| time.format(SECONDS).to_string())
}

/// The same relative to `now`; unchanged if it is not a time.
pub fn when(value: &Value, name: &str, now: DateTime<Utc>) -> String {
    let text = optional(value, name);
    let Ok(time) = text.parse::<DateTime<Utc>>() else { return text };
    let shown = time.format(SECONDS);
    let away = time - now;
    if away > TimeDelta::zero() {
        format!("{shown} (in {})", span(away))
    } else {
        format!("{shown} ({} ago)", span(-away))
    }
}

/// The age of a time field.
pub fn age(value: &Value, name: &str, now: DateTime<Utc>) -> String {
    let text = text(value, name);
    text.parse::<DateTime<Utc>>().map_or(text, |time| span((now - time).max(TimeDelta::zero())))
}

/// Beside now, in the largest unit: `in 5m`, `2h ago`; empty if there is no time.
pub fn away(value: &Value, name: &str, now: DateTime<Utc>) -> String {
    let text = optional(value, name);
    let Ok(time) = text.parse::<DateTime<Utc>>() else { return text };
    let away = time - now;
    if away > TimeDelta::zero() { format!("in {}", span(away)) } else { format!("{} ago", span(-away)) }
}

/// A time in its largest unit.
pub fn span(time: TimeDelta) -> String {
    match time.num_seconds() {
        s @ ..60 => format!("{s}s"),
        s @ ..3600 => format!("{}m", s / 60),
        s @ ..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_told_beside_now() {
        let now = "2026-03-14T09:30:00Z".parse().unwrap();
        let job = json!({"a": "2026-03-14T09:26:53.589Z", "b": "2026-03-16T09:30:00Z", "c": null, "d": "x"});
        assert_eq!(when(&job, "a", now), "2026-03-14 09:26:53 UTC (3m ago)");
        assert_eq!(when(&job, "b", now), "2026-03-16 09:30:00 UTC (in 2d)");
        assert_eq!((when(&job, "c", now), when(&job, "d", now)), (String::new(), "x".to_owned()));
        assert_eq!(
            (age(&job, "a", now), age(&job, "b", now), age(&job, "c", now)),
            ("3m".into(), "0s".into(), "-".into())
        );
    }
}
