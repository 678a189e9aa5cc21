//! `upshot queues`, `pause`, `resume`, `unpark`, `limit` and `outbox-end`: queues, through the API.

use serde_json::{Value, json};
use upshot_shared::Settings;

use super::{
    client::Client,
    table::{self, list, text},
};
use crate::arguments::{OutboxEnd, Pause, Queues, SetLimit, Unpark};

const STATES: [&str; 7] = ["scheduled", "ready", "running", "parked", "succeeded", "dead", "cancelled"];

/// Prints a table of queues, and below it what holds jobs back.
pub async fn show(settings: &Settings, queues: &Queues) -> anyhow::Result<()> {
    let said = Client::new(settings, &queues.api)?.read("/v1/queues", &[]).await?;
    let row = |queue: &Value| {
        let jobs = queue.get("jobs").cloned().unwrap_or_default();
        let [scheduled, ready, running, parked, succeeded, dead, cancelled] =
            STATES.map(|state| text(&jobs, state));
        [text(queue, "name"), scheduled, ready, running, parked, succeeded, dead, cancelled]
    };
    let rows: Vec<_> = list(&said, "queues").map(row).collect();
    let headings = ["QUEUE", "SCHEDULED", "READY", "RUNNING", "PARKED", "SUCCEEDED", "DEAD", "CANCELLED"];
    table::print(headings, &rows);
    for line in waiting(said.get("rabbitmq").unwrap_or(&Value::Null)) {
        println!("{line}");
    }
    for queue in list(&said, "queues") {
        holding(queue).iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// Pauses a queue or a kind.
pub async fn pause(settings: &Settings, pause: &Pause) -> anyhow::Result<()> {
    change(settings, pause, "pause").await?;
    match &pause.kind {
        Some(kind) => println!("{}: jobs of kind {kind} are parked when their turn comes", pause.queue),
        None => println!("{}: nothing starts until `upshot resume {0}`; what runs goes on", pause.queue),
    }
    Ok(())
}

/// Ends a pause of a queue or a kind.
pub async fn resume(settings: &Settings, resume: &Pause) -> anyhow::Result<()> {
    let queue = change(settings, resume, "resume").await?;
    let kinds: Vec<&str> = list(&queue, "paused_kinds").filter_map(Value::as_str).collect();
    match &resume.kind {
        Some(_) if queue.get("paused") == Some(&Value::Bool(true)) => {
            println!("{}: resumed, but the whole queue is paused: `upshot resume {0}`", resume.queue);
        }
        None if !kinds.is_empty() => {
            println!("{}: resumed; kinds that are still paused: {}", resume.queue, kinds.join(", "));
        }
        _ => println!("{}: resumed", resume.queue),
    }
    Ok(())
}

/// Ends a group of readers of the outbox.
pub async fn end_group(settings: &Settings, end: &OutboxEnd) -> anyhow::Result<()> {
    let path = format!("/v1/queues/{}/outbox/end", end.queue);
    Client::new(settings, &end.api)?.post(&path, &json!({"group": end.group})).await?;
    println!("{}: nothing is kept for group {} any longer", end.queue, end.group);
    Ok(())
}

/// Lets jobs go on that wait for a need.
pub async fn unpark(settings: &Settings, unpark: &Unpark) -> anyhow::Result<()> {
    let path = format!("/v1/queues/{}/unpark", unpark.queue);
    let body = json!({"need": unpark.need.as_str()});
    let said = Client::new(settings, &unpark.api)?.post(&path, &body).await?;
    println!("{}: {} jobs go on that waited for {}", unpark.queue, text(&said, "unparked"), unpark.need);
    if said.get("left").and_then(Value::as_u64).is_some_and(|left| left > 0) {
        let (left, queue) = (text(&said, "left"), &unpark.queue);
        println!("{queue}: {left} more follow in the background: `upshot queues` shows how far that is");
    }
    Ok(())
}

/// Sets or clears a limit.
pub async fn limit(settings: &Settings, limit: &SetLimit) -> anyhow::Result<()> {
    let body = json!({
        "key": limit.key.to_string(),
        "concurrency": limit.concurrency,
        "rate": limit.rate.map(f64::from),
        "burst": limit.burst,
        "weight": limit.weight.map(f64::from),
    });
    let path = format!("/v1/queues/{}/limits", limit.queue);
    let queue = Client::new(settings, &limit.api)?.put(&path, &body).await?;
    let key = limit.key.to_string();
    match list(&queue, "limits").find(|each| text(each, "key") == key) {
        Some(set) => println!("{}: {}", limit.queue, described(set)),
        None => println!("{}: {key} is not limited", limit.queue),
    }
    Ok(())
}

/// What waits in RabbitMQ, a line each.
fn waiting(rabbitmq: &Value) -> Vec<String> {
    let [Some(intake), Some(quarantine)] = ["intake", "quarantine"].map(|name| rabbitmq.get(name)) else {
        return vec!["RabbitMQ does not answer: what waits there is not known".to_owned()];
    };
    let mut lines = vec![format!(
        "{}: {} events wait for a bridge, {} bridges consume",
        text(intake, "queue"),
        text(intake, "messages"),
        text(intake, "consumers")
    )];
    if intake.get("consumers").and_then(Value::as_u64) == Some(0) {
        lines.push("no bridge takes events: start `upshot bridge`".to_owned());
    }
    if quarantine.get("messages").and_then(Value::as_u64) != Some(0) {
        lines.push(format!(
            "{}: {} events could not be accepted",
            text(quarantine, "queue"),
            text(quarantine, "messages")
        ));
    }
    lines
}

async fn change(settings: &Settings, pause: &Pause, verb: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/queues/{}/{verb}", pause.queue);
    Client::new(settings, &pause.api)?.post(&path, &json!({"kind": pause.kind})).await
}

/// What holds jobs of a queue back, a line each.
fn holding(queue: &Value) -> Vec<String> {
    let name = text(queue, "name");
    let mut lines = Vec::new();
    if queue.get("paused") == Some(&Value::Bool(true)) {
        lines.push(format!("{name}: paused"));
    }
    for kind in list(queue, "paused_kinds").filter_map(Value::as_str) {
        lines.push(format!("{name}: kind {kind} is paused"));
    }
    for limit in list(queue, "limits") {
        lines.push(format!("{name}: {}", described(limit)));
    }
    let outbox = queue.get("outbox").cloned().unwrap_or_default();
    for group in
        list(&outbox, "groups").filter(|group| group.get("needs_since").is_some_and(Value::is_string))
    {
        let (group, since) = (text(group, "name"), text(group, "needs_since"));
        let entries = text(&outbox, "entries");
        lines.push(format!("{name}: outbox of {entries} entries, group {group} needs those since {since}"));
    }
    for release in list(queue, "releasing") {
        let (need, done, jobs) = (text(release, "need"), text(release, "done"), text(release, "jobs"));
        lines.push(format!("{name}: {done} of {jobs} parked jobs let go, need: {need}"));
    }
    for need in list(queue, "needs") {
        lines.push(format!("{name}: {} parked, need: {}", text(need, "jobs"), text(need, "need")));
    }
    lines
}

/// A limit and its use in words.
fn described(limit: &Value) -> String {
    let mut parts = Vec::new();
    let mut tell = |name: &str, shown: &dyn Fn(String) -> String| {
        if limit.get(name).is_some_and(|value| !value.is_null()) {
            parts.push(shown(text(limit, name)));
        }
    };
    tell("concurrency", &|n| format!("{n} at once"));
    tell("rate", &|rate| format!("{rate} a second"));
    tell("burst", &|burst| format!("burst {burst}"));
    tell("weight", &|weight| format!("weight {weight}"));
    let limits = parts.join(", ");
    let mut parts = Vec::new();
    for (name, unit) in
        [("running", "running"), ("tokens", "tokens left"), ("waiting_lanes", "lanes waiting")]
    {
        if limit.get(name).is_some_and(|value| !value.is_null()) {
            parts.push(format!("{} {unit}", text(limit, name)));
        }
    }
    format!("{}: {limits} ({})", text(limit, "key"), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_rabbitmq_is_told() {
        let depth = |queue, messages, consumers| json!({"queue": queue, "messages": messages, "consumers": consumers});
        let calm = json!({"intake": depth("i", 0, 2), "quarantine": depth("q", 0, 0)});
        assert_eq!(waiting(&calm), ["i: 0 events wait for a bridge, 2 bridges consume"]);
        let stuck = json!({"intake": depth("i", 7, 0), "quarantine": depth("q", 3, 0)});
        assert_eq!(
            waiting(&stuck)[1..],
            ["no bridge takes events: start `upshot bridge`", "q: 3 events could not be accepted"]
        );
        assert!(waiting(&Value::Null)[0].contains("not known"));
    }

    #[test]
    fn what_holds_jobs_back_is_told() {
        let limit = json!({"key": "key:smtp", "concurrency": 4, "rate": 2.5, "burst": null, "weight": null,
            "running": 3, "tokens": 0, "waiting_lanes": 1});
        let group = |name: &str, since| json!({"name": name, "needs_since": since});
        let groups = [group("audit", Some("2026-03-14T09:26:53.589Z")), group("ledger", None)];
        let queue = json!({"name": "emails", "paused": true, "paused_kinds": ["a"], "limits": [limit],
            "needs": [{"need": "resume a", "jobs": 7}, {"need": "wait breaker:smtp", "jobs": 2}],
            "outbox": {"entries": 12, "groups": groups}});
        let expected = [
            "emails: paused",
            "emails: kind a is paused",
            "emails: key:smtp: 4 at once, 2.5 a second (3 running, 0 tokens left, 1 lanes waiting)",
            "emails: outbox of 12 entries, group audit needs those since 2026-03-14T09:26:53.589Z",
            "emails: 7 parked, need: resume a",
            "emails: 2 parked, need: wait breaker:smtp",
        ];
        assert_eq!(holding(&queue), expected);
    }
}
