//! `upshot outcomes` and `upshot overdue`: list outcomes, or add them up.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use upshot_ledger::span::span;
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, away, has, list as members, optional, part, text, time},
};
use crate::{
    arguments::{By, Outcomes, Overdue, Paging, Period, WhichOutcomes},
    output::{Output, Page, Table, note},
};

const LIST: List = List { path: "/v1/outcomes", entries: "outcomes", cursor: "cursor" };

/// Prints a table of outcomes, or their figures.
pub async fn list(settings: &Settings, outcomes: &Outcomes, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &outcomes.api)?;
    if let Some(by) = outcomes.by {
        return sum_up(&client, by, &outcomes.which.period, out).await;
    }
    let mut query: Vec<(&str, String)> =
        outcomes.status.iter().map(|status| ("status", status.clone())).collect();
    if outcomes.at_risk {
        query.push(("at_risk", true.to_string()));
    }
    let mut table = table();
    let rows = |page: &mut Page, found: &[Value], now| {
        let rows: Vec<_> = found.iter().map(|outcome| row(outcome, now)).collect();
        page.table(&mut table, &rows);
    };
    show(&client, query, &outcomes.which, &outcomes.paging, out, rows).await
}

/// Prints a table of overdue outcomes.
pub async fn overdue(settings: &Settings, overdue: &Overdue, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &overdue.api)?;
    let query = vec![("status", "overdue".to_owned())];
    let mut table = overdue_table();
    let rows = |page: &mut Page, found: &[Value], now| {
        let rows: Vec<_> = found.iter().map(|outcome| overdue_row(outcome, now)).collect();
        page.table(&mut table, &rows);
    };
    show(&client, query, &overdue.which, &overdue.paging, out, rows).await
}

/// Prints the pages of a list. Says so where nothing is found.
async fn show(
    client: &Client,
    mut query: Vec<(&'static str, String)>,
    which: &WhichOutcomes,
    paging: &Paging,
    out: &mut Output,
    mut rows: impl FnMut(&mut Page, &[Value], DateTime<Utc>),
) -> anyhow::Result<()> {
    let filters = [
        ("queue", which.queue.as_ref().map(ToString::to_string)),
        ("route", which.route.clone()),
        ("kind", which.kind.clone()),
        ("tenant", which.tenant.clone()),
    ];
    query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value?))));
    query.extend(period(&which.period));
    let mut count = 0;
    let show = |found: &[Value]| {
        count += found.len();
        Ok(out.items(found, |page| rows(page, found, Utc::now()))?)
    };
    LIST.follow(client, &query, paging, show).await?;
    if count == 0 {
        note("no outcome is of this kind");
    }
    Ok(())
}

/// The parameters of a period.
fn period(period: &Period) -> impl Iterator<Item = (&'static str, String)> {
    let ends = [("from", period.since), ("to", period.until)];
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    ends.into_iter().filter_map(move |(name, time)| Some((name, written(time?))))
}

/// The table of outcomes.
pub(super) fn table() -> Table<6> {
    let mut table = Table::new(["JOB", "STATUS", "SUBJECT", "DUE", "TRY", "WHAT"]);
    table.wrapping(&[2, 5]);
    table
}

/// An outcome in it.
pub(super) fn row(outcome: &Value, now: DateTime<Utc>) -> [String; 6] {
    let mut status = text(outcome, "status");
    if outcome.get("at_risk") == Some(&Value::Bool(true)) {
        status.push_str(", at risk");
    }
    let due = away(outcome, "expected_by", now);
    let due = if due.is_empty() { "-".to_owned() } else { due };
    [text(outcome, "job"), status, text(outcome, "subject"), due, text(outcome, "attempts"), what(outcome)]
}

/// The table of overdue outcomes.
pub(super) fn overdue_table() -> Table<5> {
    let mut table = Table::new(["JOB", "LATE BY", "SUBJECT", "OWNER", "WHAT"]);
    table.wrapping(&[2, 4]);
    table
}

/// An outcome in it.
pub(super) fn overdue_row(outcome: &Value, now: DateTime<Utc>) -> [String; 5] {
    let late = age(outcome, "expected_by", now);
    let owner = text(part(outcome, "owner"), "text");
    [text(outcome, "job"), late, text(outcome, "subject"), owner, what(outcome)]
}

/// What came of it, or why nothing did so far.
fn what(outcome: &Value) -> String {
    let reason = part(outcome, "reason");
    let waived = part(outcome, "waived");
    let mut said = if has(outcome, "summary") {
        text(outcome, "summary")
    } else if has(waived, "text") {
        text(waived, "text")
    } else if has(reason, "message") {
        let class =
            if has(reason, "class") { format!(" ({})", text(reason, "class")) } else { String::new() };
        format!("{}{class}", text(reason, "message"))
    } else {
        text(outcome, "kind")
    };
    let note = optional(part(outcome, "note"), "text");
    if !note.is_empty() {
        said = format!("{said}; note: {note}");
    }
    if outcome.get("forgotten") == Some(&Value::Bool(true)) {
        said.push_str(" (forgotten)");
    }
    said
}

async fn sum_up(client: &Client, by: By, of: &Period, out: &mut Output) -> anyhow::Result<()> {
    let by = match by {
        By::Route => "route",
        By::Kind => "kind",
        By::Tenant => "tenant",
        By::Cause => "cause",
    };
    let mut query = vec![("by", by.to_owned())];
    query.extend(period(of));
    let said = client.read("/v1/outcomes/summary", &query).await?;
    out.answer(&said, |page| figures(page, &said))?;
    if said.get("is_cut") == Some(&Value::Bool(true)) {
        note("there are more: these are the first ones");
    }
    Ok(())
}

/// Figures, and the period that they belong to.
pub(super) fn figures(page: &mut Page, said: &Value) {
    let from = if has(said, "from") { time(said, "from") } else { "the beginning".to_owned() };
    page.line(format!("from {from} to {}", time(said, "to")));
    page.line("");
    if text(said, "by") == "cause" {
        let row = |row: &Value| {
            let cause = part(row, "cause");
            [
                text(cause, "group"),
                text(row, "missed"),
                text(cause, "class"),
                text(cause, "kind"),
                text(cause, "message"),
            ]
        };
        let rows: Vec<_> = members(said, "rows").map(row).collect();
        let headings = ["GROUP", "MISSED", "CLASS", "KIND", "MESSAGE"];
        page.table(Table::new(headings).wrapping(&[3, 4]), &rows);
        return;
    }
    let row = |row: &Value| {
        let [open, overdue, in_time, late, missed] =
            ["open", "overdue", "achieved_in_time", "achieved_late", "missed"].map(|name| text(row, name));
        [text(row, "name"), text(row, "received"), open, overdue, in_time, late, missed, share(row)]
    };
    let rows: Vec<_> = members(said, "rows").map(row).collect();
    let headings = ["NAME", "RECEIVED", "OPEN", "OVERDUE", "IN TIME", "LATE", "MISSED", "SHARE"];
    page.table(Table::new(headings).wrapping(&[0]), &rows);
    times(page, said);
}

/// How long the outcomes took that were achieved: a row for each route and stage that took any time, and
/// the age of the oldest open one.
fn times(page: &mut Page, said: &Value) {
    let mut rows = Vec::new();
    for row in members(said, "rows") {
        let times = part(row, "times");
        let oldest = part(times, "oldest_open");
        if has(oldest, "age_ms") {
            let none = || "-".to_owned();
            rows.push([text(row, "name"), "oldest open".to_owned(), ms(oldest, "age_ms"), none(), none()]);
        }
        let stages = part(times, "stages").as_object();
        let stages = stages.into_iter().flatten().map(|(name, quantiles)| (name.as_str(), quantiles));
        for (stage, quantiles) in [("whole", part(times, "whole"))].into_iter().chain(stages) {
            if quantiles.get("p99_ms").and_then(Value::as_i64).is_some_and(|ms| ms > 0) {
                let [p50, p95, p99] = ["p50_ms", "p95_ms", "p99_ms"].map(|name| ms(quantiles, name));
                rows.push([text(row, "name"), stage.to_owned(), p50, p95, p99]);
            }
        }
    }
    if !rows.is_empty() {
        page.line("");
        page.line(format!("times of achieved outcomes from {}", time(said, "times_from")));
        page.line("");
        page.table(Table::new(["NAME", "STAGE", "P50", "P95", "P99"]).wrapping(&[0]), &rows);
    }
}

/// A length of time in ms, in words.
fn ms(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_i64).map_or_else(|| "-".to_owned(), span)
}

/// The share that was achieved in time, in percent.
pub(super) fn share(figures: &Value) -> String {
    let share = figures.get("share_in_time").and_then(Value::as_f64);
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
