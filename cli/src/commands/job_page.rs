//! One job for a person: its state and why, its steps, its outcome.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_ledger::span::span;
use upshot_queue::Condition;
use upshot_shared::redact::MASK;

use super::value::{has, list, optional, part, text, time, when};
use crate::output::{Page, Table};

/// The stages of a job's clock, and words for them.
const STAGES: [(&str, &str); 8] = [
    ("broker_ms", "before the bridge"),
    ("bridge_ms", "in the bridge"),
    ("queue_ms", "queued"),
    ("parked_ms", "parked"),
    ("run_ms", "running"),
    ("retry_wait_ms", "between attempts"),
    ("confirmation_ms", "waiting for the proof"),
    ("dead_ms", "dead"),
];

/// Prints a job from the API's answer.
pub fn print(page: &mut Page, job: &Value, now: DateTime<Utc>) {
    page.line(format!("job {}: {}", text(job, "id"), text(job, "state")));
    page.line("");
    about(page, job, now);
    arguments(page, job);
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
        ("time", clock(part(job, "clock"))),
        ("worker", optional(job, "worker")),
        ("must start by", when(job, "deadline", now)),
        ("expected by", when(job, "expected_by", now)),
        ("asked to stop", when(job, "cancel_asked_at", now)),
        ("duplicates", duplicates),
        ("successor", optional(job, "successor")),
    ]);
}

fn waits(job: &Value, now: DateTime<Utc>) -> String {
    let awaiting = part(job, "awaiting");
    if has(awaiting, "key") {
        let silence = match text(awaiting, "on_silence").as_str() {
            "retry" => "the handler runs again".to_owned(),
            verdict => format!("it counts as {verdict}"),
        };
        let until = when(awaiting, "until", now);
        return format!("its proof `{}`; without one {silence} {until}", text(awaiting, "key"));
    }
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

/// How long the job took so far, and in which stages.
fn clock(clock: &Value) -> String {
    let ms = |name: &str| clock.get(name).and_then(Value::as_i64).unwrap_or(0);
    let stages = STAGES.map(|(name, words)| (ms(name), words));
    let spent: Vec<String> = stages
        .into_iter()
        .filter(|(ms, _)| *ms > 0)
        .map(|(ms, words)| format!("{} {words}", span(ms)))
        .collect();
    if spent.is_empty() {
        return String::new();
    }
    let skewed =
        if clock.get("is_skewed") == Some(&Value::Bool(true)) { "; the clocks disagree" } else { "" };
    format!("{}: {}{skewed}", span(ms("whole_ms")), spent.join(", "))
}

/// The arguments where they were asked for, the present ones first.
fn arguments(page: &mut Page, job: &Value) {
    let present = job.get("args").map(|args| ("Arguments", args));
    let earlier = list(job, "earlier_args").rev().map(|args| ("Earlier arguments", args));
    for (heading, args) in present.into_iter().chain(earlier) {
        page.heading(heading);
        // A value that was read from JSON can be written as JSON.
        let text = serde_json::to_string_pretty(args).unwrap_or_default();
        text.lines().for_each(|line| page.line(format!("  {line}")));
    }
}

fn steps(page: &mut Page, job: &Value) {
    let rows: Vec<[String; 3]> = list(job, "steps")
        .map(|step| [text(step, "name"), time(step, "completed_at"), optional(step, "result")])
        .collect();
    if !rows.is_empty() {
        page.heading("Steps completed");
        page.table(Table::bare().indented().wrapping(&[2]), &rows);
    }
    let rows: Vec<[String; 2]> =
        list(job, "begun_effects").map(|begun| [text(begun, "name"), time(begun, "began_at")]).collect();
    if !rows.is_empty() {
        page.heading("Effects begun, without a receipt");
        page.table(Table::bare().indented(), &rows);
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
    let row = |part: &Value| {
        let said = if has(part, "reason") {
            format!("missed: {}", text(part, "reason"))
        } else {
            "achieved".to_owned()
        };
        [text(part, "name"), text(part, "weight"), said]
    };
    let rows: Vec<[String; 3]> = list(outcome, "parts").map(row).collect();
    if !rows.is_empty() {
        page.heading("Parts");
        page.table(Table::bare().indented().wrapping(&[0, 2]), &rows);
    }
}

/// As one word for a shell, where it is not one already.
fn quoted(text: &str) -> String {
    let is_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '/' | '@'));
    if is_word { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The command that fulfils a condition which a handler named: a signal where the job waits for one
/// until a time, or the condition is a tenant's. The queue's own conditions have no command.
fn command_for(queue: &str, condition: &str, until: bool) -> Option<String> {
    let is_named = ["wait ", "tenant "].iter().any(|word| condition.starts_with(word));
    let condition: Condition = is_named.then(|| condition.parse().ok())??;
    let verb = if until || condition.tenant().is_some() { "signal" } else { "unpark" };
    let mut command = format!("upshot {verb} {queue}");
    if let Some(tenant) = condition.tenant() {
        command = format!("{command} --tenant={}", quoted(tenant));
    }
    // Behind `--` a key is not taken for an option.
    let dashes = if condition.key().starts_with('-') { "-- " } else { "" };
    Some(format!("{command} {dashes}{}", quoted(condition.key())))
}

/// What an operator can do.
fn next(page: &mut Page, job: &Value) {
    let id = text(job, "id");
    let parked = part(job, "parked");
    let (condition, until) = (optional(parked, "condition"), has(parked, "until"));
    let advice = match text(job, "state").as_str() {
        "dead" if has(job, "successor") => {
            format!("upshot job {}  (it runs in its place)", text(job, "successor"))
        }
        "dead" => format!("upshot retry {id}"),
        // A key with a shortened mail address is not the key of a signal.
        "parked" if condition.contains(MASK) => {
            format!("upshot retry {id}  (`upshot job {id} --reveal` shows the whole condition)")
        }
        "parked" if has(part(job, "awaiting"), "key") => command_for(&text(job, "queue"), &condition, until)
            .map_or_else(|| format!("upshot retry {id}"), |command| command.replacen("signal", "confirm", 1)),
        "parked" => command_for(&text(job, "queue"), &condition, until).map_or_else(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_job_names_the_command_that_lets_it_continue() {
        for (condition, until, command) in [
            ("wait order-1042 confirmed", true, Some("upshot signal invoices 'order-1042 confirmed'")),
            ("wait breaker:smtp", false, Some("upshot unpark invoices breaker:smtp")),
            ("wait -1042", true, Some("upshot signal invoices -- -1042")),
            ("tenant acme|signed", true, Some("upshot signal invoices --tenant=acme signed")),
            ("tenant acme|-1", false, Some("upshot signal invoices --tenant=acme -- -1")),
            ("kind invoice.issue@2", false, None),
        ] {
            assert_eq!(command_for("invoices", condition, until).as_deref(), command, "{condition}");
        }
    }
}
