//! `upshot queues`, `pause`, `resume`, `signal`, `confirm`, `unpark`, `limit` and `outbox-end`: queues, through the API.

use serde_json::{Value, json};
use upshot_queue::{Condition, QueueName};
use upshot_runtime::Settings;
use upshot_shared::confirmation::{Confirmation, Proved};

use super::{
    client::Client,
    value::{has, list, part, text},
};
use crate::{
    arguments::{Confirm, OutboxEnd, Pause, Queues, SetLimit, Signal, Unpark},
    output::{self, Output, Page, Table},
};

const STATES: [&str; 7] = ["scheduled", "ready", "running", "parked", "succeeded", "dead", "cancelled"];

/// Prints a table of queues, and below it what delays jobs.
pub async fn show(settings: &Settings, queues: &Queues, out: &mut Output) -> anyhow::Result<()> {
    let said = Client::new(settings, &queues.api)?.read("/v1/queues", &[]).await?;
    out.answer(&said, |page| print(page, &said))?;
    Ok(())
}

/// The queues, and what delays jobs.
pub(super) fn print(page: &mut Page, said: &Value) {
    let row = |queue: &Value| {
        let [scheduled, ready, running, parked, succeeded, dead, cancelled] =
            STATES.map(|state| text(part(queue, "jobs"), state));
        [text(queue, "name"), scheduled, ready, running, parked, succeeded, dead, cancelled]
    };
    let rows: Vec<_> = list(said, "queues").map(row).collect();
    let headings = ["QUEUE", "SCHEDULED", "READY", "RUNNING", "PARKED", "SUCCEEDED", "DEAD", "CANCELLED"];
    page.table(Table::new(headings).wrapping(&[0]), &rows);
    page.line("");
    let holding = list(said, "queues").flat_map(holding);
    waiting(part(said, "rabbitmq")).into_iter().chain(holding).for_each(|line| page.text(line));
}

/// Pauses a queue or a kind.
pub async fn pause(settings: &Settings, pause: &Pause, out: &mut Output) -> anyhow::Result<()> {
    let queue = change(settings, pause, "pause").await?;
    let name = &pause.queue;
    let told = match &pause.kind {
        Some(kind) => format!("{name}: jobs of kind {kind} are parked when their turn comes"),
        None => format!("{name}: nothing starts until `upshot resume {name}`; running jobs continue"),
    };
    out.answer(&queue, |page| page.text(told))?;
    if let Some(kind) = &pause.kind {
        warn_of_unknown(settings, pause, kind).await?;
    }
    Ok(())
}

/// Ends a pause of a queue or a kind.
pub async fn resume(settings: &Settings, resume: &Pause, out: &mut Output) -> anyhow::Result<()> {
    let queue = change(settings, resume, "resume").await?;
    let kinds: Vec<&str> = list(&queue, "paused_kinds").filter_map(Value::as_str).collect();
    let name = &resume.queue;
    let told = match &resume.kind {
        Some(_) if queue.get("paused") == Some(&Value::Bool(true)) => {
            format!("{name}: resumed, but the whole queue is paused: `upshot resume {name}`")
        }
        None if !kinds.is_empty() => {
            format!("{name}: resumed; kinds that are still paused: {}", kinds.join(", "))
        }
        _ => format!("{name}: resumed"),
    };
    out.answer(&queue, |page| page.text(told))?;
    Ok(())
}

/// Ends a group of readers of the outbox.
pub async fn end_group(settings: &Settings, end: &OutboxEnd, out: &mut Output) -> anyhow::Result<()> {
    let path = format!("/v1/queues/{}/outbox/end", end.queue);
    let said = Client::new(settings, &end.api)?.post(&path, &json!({"group": end.group})).await?;
    let told = format!("{}: group {} is dropped, and nothing is kept for it", end.queue, end.group);
    out.answer(&said, |page| page.text(told))?;
    Ok(())
}

/// Sends a signal, or withdraws it.
pub async fn signal(settings: &Settings, signal: &Signal, out: &mut Output) -> anyhow::Result<()> {
    let Signal { queue, key, tenant, payload, withdraw, api } = signal;
    let condition = Condition::new(tenant.as_deref(), key)?;
    let path = format!("/v1/queues/{queue}/signals");
    if *withdraw {
        let named = [("key", Some(key)), ("tenant", tenant.as_ref())];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?.clone())));
        let query: Vec<(&str, String)> = named.collect();
        let said = Client::new(settings, api)?.delete(&path, &query).await?;
        let told = if said.get("withdrawn") == Some(&Value::Bool(true)) {
            format!("{queue}: {condition} is withdrawn; jobs that it answered keep their answer")
        } else {
            format!("{queue}: no signal is kept for {condition}")
        };
        return Ok(out.answer(&said, |page| page.text(told))?);
    }
    let body = json!({"key": key, "tenant": tenant, "payload": payload});
    let said = Client::new(settings, api)?.post(&path, &body).await?;
    let released = text(&said, "released");
    let told = match text(&said, "result").as_str() {
        "contradicts" => format!(
            "{queue}: {condition} had another payload already, which stays: {}",
            said.get("payload").unwrap_or(&Value::Null)
        ),
        "known" => format!("{queue}: {condition} was signalled already; {released} jobs continue"),
        _ => format!("{queue}: {condition} is signalled; {released} jobs continue"),
    };
    out.answer(&said, |page| {
        page.text(told);
        more_follow(page, &said, queue);
    })?;
    Ok(())
}

/// Confirms outcomes, or says that the work did not come out right.
pub async fn confirm(settings: &Settings, confirm: &Confirm, out: &mut Output) -> anyhow::Result<()> {
    let Confirm { queue, key, tenant, id, missed, fact, api } = confirm;
    let condition = Condition::new(tenant.as_deref(), key)?;
    let confirmation = Confirmation {
        queue: queue.to_string(),
        key: key.clone(),
        tenant: tenant.clone(),
        id: id.clone(),
        outcome: if missed.is_some() { Proved::Missed } else { Proved::Achieved },
        reason: missed.clone(),
        evidence: fact.iter().cloned().collect(),
    };
    confirmation.signal()?;
    let said = Client::new(settings, api)?.post("/v1/confirmations", &json!(confirmation)).await?;
    let jobs = text(&said, "jobs");
    let told = match text(&said, "result").as_str() {
        "contradicts" => format!(
            "{queue}: {condition} has another confirmation already, which stays: this one is recorded as a contradiction"
        ),
        "known" => format!("{queue}: {condition} was confirmed already; {jobs} jobs ended"),
        _ => format!("{queue}: {condition} is confirmed; {jobs} jobs ended"),
    };
    out.answer(&said, |page| {
        page.text(told);
        more_follow(page, &said, queue);
    })?;
    Ok(())
}

/// Says that more jobs follow in the background.
fn more_follow(page: &mut Page, said: &Value, queue: &QueueName) {
    if said.get("left").and_then(Value::as_u64).is_some_and(|left| left > 0) {
        let left = text(said, "left");
        page.text(format!(
            "{queue}: {left} more follow in the background: `upshot queues` shows the progress"
        ));
    }
}

/// Releases jobs that wait for a condition.
pub async fn unpark(settings: &Settings, unpark: &Unpark, out: &mut Output) -> anyhow::Result<()> {
    let path = format!("/v1/queues/{}/unpark", unpark.queue);
    let body = json!({"condition": unpark.condition.stored()});
    let said = Client::new(settings, &unpark.api)?.post(&path, &body).await?;
    let told = format!(
        "{}: {} jobs continue that waited for {}",
        unpark.queue,
        text(&said, "unparked"),
        unpark.condition
    );
    out.answer(&said, |page| {
        page.text(told);
        more_follow(page, &said, &unpark.queue);
    })?;
    Ok(())
}

/// Sets or clears a limit.
pub async fn limit(settings: &Settings, limit: &SetLimit, out: &mut Output) -> anyhow::Result<()> {
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
    let told = match list(&queue, "limits").find(|each| text(each, "key") == key) {
        Some(set) => format!("{}: {}", limit.queue, described(set)),
        None => format!("{}: {key} is not limited", limit.queue),
    };
    out.answer(&queue, |page| page.text(told))?;
    Ok(())
}

/// What waits in RabbitMQ, one line each.
fn waiting(rabbitmq: &Value) -> Vec<String> {
    let [Some(intake), Some(quarantine)] = ["intake", "quarantine"].map(|name| rabbitmq.get(name)) else {
        return vec!["RabbitMQ does not answer: the number of waiting events is unknown".to_owned()];
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
    let waiting =
        rabbitmq.get("confirmations").filter(|of| of.get("messages").and_then(Value::as_u64) != Some(0));
    if let Some(confirmations) = waiting {
        lines.push(format!(
            "{}: {} confirmations wait for a bridge",
            text(confirmations, "queue"),
            text(confirmations, "messages")
        ));
    }
    if quarantine.get("messages").and_then(Value::as_u64) != Some(0) {
        lines.push(format!(
            "{}: {} events could not be accepted, see `upshot quarantine`",
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

/// Warns if neither a route nor a job has the paused kind, which may be mistyped. The pause holds
/// all the same, because another program may enqueue such jobs.
async fn warn_of_unknown(settings: &Settings, pause: &Pause, kind: &str) -> anyhow::Result<()> {
    let routes = settings.all_routes();
    let routes = routes.iter().filter(|route| route.queue == pause.queue);
    let mut kinds: Vec<&str> = routes.map(|route| route.job.as_str()).collect();
    if kinds.contains(&kind) {
        return Ok(());
    }
    let query = [("queue", pause.queue.to_string()), ("kind", kind.to_owned()), ("limit", "1".to_owned())];
    let page = Client::new(settings, &pause.api)?.read("/v1/jobs", &query).await?;
    // A page that stops early has not examined every job, but many.
    if list(&page, "jobs").next().is_some() {
        return Ok(());
    }
    kinds.sort_unstable();
    kinds.dedup();
    let known = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    output::note(format_args!(
        "warning: no route and no job of {0} has kind {kind}; kinds of its routes: {known}. \
         If it is mistyped: upshot resume {0} --kind '{kind}'",
        pause.queue
    ));
    Ok(())
}

/// What delays jobs of a queue, one line each.
fn holding(queue: &Value) -> Vec<String> {
    let name = text(queue, "name");
    let mut lines = Vec::new();
    if queue.get("paused") == Some(&Value::Bool(true)) {
        lines.push(format!("{name}: paused"));
    }
    for kind in list(queue, "paused_kinds").filter_map(Value::as_str) {
        lines.push(format!("{name}: kind {kind} is paused"));
    }
    let workers = part(queue, "workers");
    if workers.get("count").and_then(Value::as_u64) == Some(0) {
        lines.push(format!("{name}: no worker is there: start `upshot executor`"));
    } else {
        if has(workers, "count") {
            lines.push(format!(
                "{name}: {} workers with {} slots",
                text(workers, "count"),
                text(workers, "slots")
            ));
        }
        for kind in list(workers, "kinds_without_worker").filter_map(Value::as_str) {
            lines.push(format!("{name}: no worker runs {kind}: start an executor of a build that does"));
        }
    }
    for limit in list(queue, "limits") {
        lines.push(format!("{name}: {}", described(limit)));
    }
    let outbox = part(queue, "outbox");
    for group in list(outbox, "groups").filter(|group| has(group, "needs_since")) {
        let (group, since) = (text(group, "name"), text(group, "needs_since"));
        let entries = text(outbox, "entries");
        lines.push(format!("{name}: outbox of {entries} entries, group {group} needs those since {since}"));
    }
    for release in list(queue, "releasing") {
        let (condition, done, jobs) =
            (text(release, "condition"), text(release, "done"), text(release, "jobs"));
        lines.push(format!("{name}: {done} of {jobs} parked jobs let go, condition: {condition}"));
    }
    for condition in list(queue, "conditions") {
        lines.push(format!(
            "{name}: {} parked, condition: {}",
            text(condition, "jobs"),
            text(condition, "condition")
        ));
    }
    lines
}

/// A limit and its use in words.
fn described(limit: &Value) -> String {
    let mut parts = Vec::new();
    let mut tell = |name: &str, shown: &dyn Fn(String) -> String| {
        if has(limit, name) {
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
        if has(limit, name) {
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
        let calm = json!({"intake": depth("i", 0, 2), "confirmations": depth("c", 0, 2), "quarantine": depth("q", 0, 0)});
        assert_eq!(waiting(&calm), ["i: 0 events wait for a bridge, 2 bridges consume"]);
        let stuck = json!({"intake": depth("i", 7, 0), "confirmations": depth("c", 2, 0), "quarantine": depth("q", 3, 0)});
        assert_eq!(
            waiting(&stuck)[1..],
            [
                "no bridge takes events: start `upshot bridge`",
                "c: 2 confirmations wait for a bridge",
                "q: 3 events could not be accepted, see `upshot quarantine`"
            ]
        );
        assert!(waiting(&Value::Null)[0].contains("is unknown"));
    }

    #[test]
    fn workers_are_told_of() {
        let told = |count: u64, without: &[&str]| {
            let workers = json!({"count": count, "slots": 16 * count, "kinds_without_worker": without});
            holding(&json!({"name": "emails", "workers": workers}))
        };
        assert_eq!(told(0, &["a@1"]), ["emails: no worker is there: start `upshot executor`"]);
        assert_eq!(
            told(2, &["a@1"]),
            [
                "emails: 2 workers with 32 slots",
                "emails: no worker runs a@1: start an executor of a build that does"
            ]
        );
    }

    #[test]
    fn what_holds_jobs_back_is_told() {
        let limit = json!({"key": "key:smtp", "concurrency": 4, "rate": 2.5, "burst": null, "weight": null,
            "running": 3, "tokens": 0, "waiting_lanes": 1});
        let group = |name: &str, since| json!({"name": name, "needs_since": since});
        let groups = [group("audit", Some("2026-03-14T09:26:53.589Z")), group("ledger", None)];
        let queue = json!({"name": "emails", "paused": true, "paused_kinds": ["a"], "limits": [limit],
            "conditions": [{"condition": "resume a", "jobs": 7}, {"condition": "wait breaker:smtp", "jobs": 2}],
            "outbox": {"entries": 12, "groups": groups}});
        let expected = [
            "emails: paused",
            "emails: kind a is paused",
            "emails: key:smtp: 4 at once, 2.5 a second (3 running, 0 tokens left, 1 lanes waiting)",
            "emails: outbox of 12 entries, group audit needs those since 2026-03-14T09:26:53.589Z",
            "emails: 7 parked, condition: resume a",
            "emails: 2 parked, condition: wait breaker:smtp",
        ];
        assert_eq!(holding(&queue), expected);
    }
}
