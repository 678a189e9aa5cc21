//! One job for a person: its state and why, its steps, its outcome.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_queue::Condition;

use super::value::{has, list, optional, part, text, time, when};
use crate::output::{Page, Table};

/// Prints a job from the API's answer.
pub fn print(page: &mut Page, job: &Value, now: DateTime<Utc>) {
    page.line(format!("job {}: {}", text(job, "id"), text(job, "state")));
    page.line("");
    about(page, job, now);
    steps(page, job);
    failures(page, job);
    outcome(page, job);
    next(page, job);
    links(page, job);
}

fn about(page: &mut Page, job: &Value, now: DateTime<Utc>) {
    let event = part(job, "event");
    let event = if event.is_object() {
        format!("{}, id {}, from {}", text(event, "type"), text(event, "id"), text(event, "source"))
    } else {
        String::new()
    };
    let keys: Vec<&str> = list(job, "limit_keys").filter_map(Value::as_str).collect();
    let duplicates = match job.get("duplicates").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(n) => format!("{n} enqueues found this job already there"),
    };
    page.pairs(&[
        ("kind", format!("{}, version {}", text(job, "kind"), text(job, "version"))),
        ("queue", format!("{}, priority {}", text(job, "queue"), text(job, "priority"))),
        ("subject", optional(job, "subject")),
        ("tenant", optional(job, "tenant")),
        ("event", event),
        ("limited by", keys.join(", ")),
        ("enqueued", when(job, "enqueued_at", now)),
        (text(job, "state").as_str(), format!("since {}", when(job, "since", now))),
        ("waits for", waits(job, now)),
        ("progress", progress(part(job, "progress"))),
        ("attempts", attempts(job)),
        ("worker", optional(job, "worker")),
        ("must start by", when(job, "deadline", now)),
        ("expected by", when(job, "expected_by", now)),
        ("asked to stop", when(job, "cancel_asked_at", now)),
        ("duplicates", duplicates),
        ("successor", optional(job, "successor")),
    ]);
}

fn waits(job: &Value, now: DateTime<Utc>) -> String {
    let waiting = part(job, "waiting_for");
    let mut said = optional(waiting, "reason");
    if has(waiting, "class") {
        said = format!("{said} ({})", text(waiting, "class"));
    }
    if has(waiting, "retry_at") {
        said = format!("{said}; runs again {}", when(waiting, "retry_at", now));
    }
    let condition = optional(part(job, "parked"), "condition");
    if condition.is_empty() { said } else { format!("{said}; condition: {condition}") }
}

fn progress(progress: &Value) -> String {
    if !has(progress, "percent") {
        return String::new();
    }
    let mut said = vec![format!("{} %", text(progress, "percent"))];
    said.extend(
        ["step", "message"].map(|name| optional(progress, name)).into_iter().filter(|part| !part.is_empty()),
    );
    said.join(", ")
}

fn attempts(job: &Value) -> String {
    let failures = part(job, "failures").as_object();
    let failures: Vec<String> =
        failures.into_iter().flatten().map(|(class, n)| format!("{n} {class}")).collect();
    let attempts = text(job, "attempts");
    if failures.is_empty() { attempts } else { format!("{attempts}; failures: {}", failures.join(", ")) }
}

fn steps(page: &mut Page, job: &Value) {
    let rows: Vec<[String; 3]> = list(job, "steps")
        .map(|step| [text(step, "name"), time(step, "completed_at"), optional(step, "result")])
        .collect();
    if !rows.is_empty() {
        page.heading("Steps completed");
        page.table(Table::bare().indented().wrapping(&[2]), &rows);
    }
}

fn failures(page: &mut Page, job: &Value) {
    let row = |failed: &Value| {
        [
            format!("#{}", text(failed, "attempt")),
            time(failed, "at"),
            text(failed, "class"),
            text(failed, "message"),
        ]
    };
    let rows: Vec<[String; 4]> = list(job, "history").map(row).collect();
    if !rows.is_empty() {
        page.heading("Attempts that failed");
        page.table(Table::bare().indented().wrapping(&[3]), &rows);
    }
}

fn outcome(page: &mut Page, job: &Value) {
    let outcome = part(job, "outcome");
    if !outcome.is_object() {
        return;
    }
    page.heading("Outcome");
    page.table(Table::bare().indented().wrapping(&[0]), &[[text(outcome, "summary")]]);
    let fact = |(name, _): &(&String, &Value)| !matches!(name.as_str(), "kind" | "href");
    let row = |evidence: &Value| {
        let facts = evidence.as_object().into_iter().flatten().filter(fact);
        let facts: Vec<String> = facts.map(|(name, _)| format!("{name} {}", text(evidence, name))).collect();
        [text(evidence, "kind"), facts.join(", ")]
    };
    let rows: Vec<[String; 2]> = list(outcome, "evidence").map(row).collect();
    page.table(Table::bare().indented().wrapping(&[1]), &rows);
}

/// As one word for a shell, where it is not one already.
fn quoted(text: &str) -> String {
    let is_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '/' | '@'));
    if is_word { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The command that meets a condition which a handler named: a signal where it is one tenant's own,
/// such as a confirmation; none of the queue's own conditions has one.
fn command_for(queue: &str, condition: &str) -> Option<String> {
    if let Some(key) = condition.strip_prefix("wait ") {
        return Some(format!("upshot unpark {queue} {}", quoted(key)));
    }
    let condition: Condition = condition.strip_prefix("tenant ").and(condition.parse().ok())?;
    let (key, tenant) = (quoted(condition.key()), quoted(condition.tenant()?));
    Some(format!("upshot signal {queue} {key} --tenant {tenant}"))
}

/// What an operator can do.
fn next(page: &mut Page, job: &Value) {
    let id = text(job, "id");
    let condition = optional(part(job, "parked"), "condition");
    let advice = match text(job, "state").as_str() {
        "dead" if has(job, "successor") => {
            format!("upshot job {}  (it runs in its place)", text(job, "successor"))
        }
        "dead" => format!("upshot retry {id}"),
        "parked" => command_for(&text(job, "queue"), &condition).map_or_else(
            || format!("upshot retry {id}"),
            |command| format!("{command}  (or `upshot retry {id}`, for this job alone)"),
        ),
        "running" => format!("upshot job {id} --follow"),
        _ => return,
    };
    page.heading("Next");
    page.line(format!("  {advice}"));
}

fn links(page: &mut Page, job: &Value) {
    let links = part(job, "links");
    let files = list(links, "files").filter_map(Value::as_str).map(|file| ("file", file.to_owned()));
    let named = ["self", "outcome"].map(|name| (name, optional(links, name)));
    // Unwrapped, because a link on two lines does not work.
    page.heading("Links");
    for (name, link) in named.into_iter().chain(files).filter(|(_, link)| !link.is_empty()) {
        page.line(format!("  {name:<7}  {link}"));
    }
}
