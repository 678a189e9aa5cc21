//! `upshot job ID --follow`: a line for each change, until the job has ended.

use futures::StreamExt;
use serde_json::Value;
use upshot_queue::JobId;

use super::{
    client::Client,
    value::{has, optional, part, text},
};
use crate::{exit::Exit, output::Output};

/// Prints the changes of a job from the API's event stream.
pub async fn run(client: &Client, id: &JobId, out: &mut Output) -> anyhow::Result<()> {
    let mut stream = client.get(&format!("/v1/jobs/{id}/progress"), &[]).await?.bytes_stream();
    // Bytes, because two chunks may split a character.
    let mut unread = Vec::new();
    let (mut event, mut last) = (String::new(), String::new());
    while let Some(chunk) = stream.next().await {
        unread.extend_from_slice(&chunk.map_err(reqwest::Error::without_url)?);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut event);
            }
            let Some(data) = line.strip_prefix("data:") else { continue };
            let job: Value = serde_json::from_str(data.trim())?;
            let said = told(&event, &job);
            // The end repeats the last change.
            let is_new = said != last;
            out.item(&job, |page| {
                if is_new {
                    page.text(said.clone());
                }
            })?;
            last = said;
        }
    }
    if matches!(event.as_str(), "end" | "gone") {
        return Ok(());
    }
    Err(Exit::NotReachable.because(
        "the API ended the stream before the job had ended: it stops, or the token has ended; run the command again",
    ))
}

/// A change in words.
pub(super) fn told(event: &str, job: &Value) -> String {
    if event == "gone" {
        return "the job was forgotten".to_owned();
    }
    let mut said = vec![optional(job, "state")];
    if job.get("attempts").and_then(Value::as_u64).is_some_and(|attempts| attempts > 0) {
        said.push(format!("attempt {}", text(job, "attempts")));
    }
    let state = job.get("state").and_then(Value::as_str).unwrap_or(event);
    let progress = part(job, "progress");
    if state == "running" && has(progress, "percent") {
        said.push(format!("{} %", text(progress, "percent")));
        said.extend(["step", "message"].map(|name| optional(progress, name)));
    }
    let waiting = part(job, "waiting_for");
    said.push(optional(waiting, "reason"));
    if has(waiting, "retry_at") {
        said.push(format!("runs again at {}", text(waiting, "retry_at")));
    }
    if state == "dead" {
        said.push(optional(part(job, "failure"), "message"));
    }
    said.push(optional(part(job, "outcome"), "summary"));
    said.retain(|part| !part.is_empty());
    if said.is_empty() { event.to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_told() {
        for (event, job, said) in [
            ("gone", json!({}), "the job was forgotten"),
            ("waiting", json!({}), "waiting"),
            ("snapshot", json!({"state": "ready", "attempts": 0}), "ready"),
            (
                "change",
                json!({"state": "running", "attempts": 2, "progress": {"percent": 60, "step": "send", "message": null}}),
                "running, attempt 2, 60 %, send",
            ),
            (
                "change",
                json!({"state": "scheduled", "attempts": 1, "waiting_for": {"reason": "refused", "retry_at": "T"}}),
                "scheduled, attempt 1, refused, runs again at T",
            ),
            (
                "end",
                json!({"state": "dead", "attempts": 1, "failure": {"message": "550 no"}}),
                "dead, attempt 1, 550 no",
            ),
            (
                "end",
                json!({"state": "succeeded", "attempts": 1, "outcome": {"summary": "sent"}}),
                "succeeded, attempt 1, sent",
            ),
        ] {
            assert_eq!(told(event, &job), said);
        }
    }
}
