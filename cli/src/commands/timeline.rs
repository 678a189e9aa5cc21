//! A job's timeline, one row for each entry.

use serde_json::Value;

use super::value::text;

/// The time, the kind and the details of an entry.
pub fn row(entry: &Value) -> [String; 3] {
    let what = match entry.get("did").and_then(Value::as_str) {
        Some(did) => did.to_owned(),
        None => text(entry, "what"),
    };
    let mut details = Vec::new();
    let mut tell = |name: &str, shown: fn(String) -> String| {
        if entry.get(name).is_some_and(|value| !value.is_null()) {
            details.push(shown(text(entry, name)));
        }
    };
    tell("attempt", |attempt| format!("attempt {attempt}"));
    tell("worker", |worker| format!("by {worker}"));
    tell("percent", |percent| format!("{percent} %"));
    tell("step", |step| step);
    tell("class", |class| class);
    tell("message", |message| message);
    tell("state", |state| state);
    [text(entry, "at"), what, details.join(", ")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_is_a_row() {
        let job = json!({"timeline": [
            {"at": "T1", "what": "enqueued"},
            {"at": "T2", "what": "failed", "attempt": 1, "class": "transient", "message": "refused"},
            {"at": "T3", "what": "changed", "did": "rescheduled", "message": "to run in 30s"},
            {"at": "T4", "what": "progress", "percent": 60, "step": "send"},
            {"at": "T5", "what": "finished", "state": "succeeded"},
        ]});
        let expected = [
            ["T1", "enqueued", ""],
            ["T2", "failed", "attempt 1, transient, refused"],
            ["T3", "rescheduled", "to run in 30s"],
            ["T4", "progress", "60 %, send"],
            ["T5", "finished", "succeeded"],
        ];
        let rows: Vec<[String; 3]> = job["timeline"].as_array().unwrap().iter().map(row).collect();
        assert_eq!(rows, expected);
    }
}
