//! A job's life as lines.

use serde_json::Value;

use super::table::{list, text};

/// A line for each thing that happened.
pub fn lines(job: &Value) -> Vec<String> {
    list(job, "timeline").map(line).collect()
}

fn line(entry: &Value) -> String {
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
    format!("{}  {what:<11}  {}", text(entry, "at"), details.join(", ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_is_a_line() {
        let job = json!({"timeline": [
            {"at": "T1", "what": "enqueued"},
            {"at": "T2", "what": "failed", "attempt": 1, "class": "transient", "message": "refused"},
            {"at": "T3", "what": "changed", "did": "rescheduled", "message": "to run in 30s"},
            {"at": "T4", "what": "progress", "percent": 60, "step": "send"},
            {"at": "T5", "what": "finished", "state": "succeeded"},
        ]});
        let expected = [
            "T1  enqueued",
            "T2  failed       attempt 1, transient, refused",
            "T3  rescheduled  to run in 30s",
            "T4  progress     60 %, send",
            "T5  finished     succeeded",
        ];
        assert_eq!(lines(&job), expected);
    }
}
