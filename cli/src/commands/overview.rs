//! `upshot overview`: of each route, what the infrastructure and the outcomes say.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    outcomes::share,
    value::{age, has, list, part, text},
};
use crate::{
    arguments::Overview,
    output::{Output, Page},
};

/// Prints a block for each route.
pub async fn show(settings: &Settings, overview: &Overview, out: &mut Output) -> anyhow::Result<()> {
    let said = Client::new(settings, &overview.api)?.read("/v1/overview", &[]).await?;
    out.answer(&said, |page| print(page, &said, Utc::now()))?;
    Ok(())
}

/// The blocks.
pub(super) fn print(page: &mut Page, said: &Value, now: DateTime<Utc>) {
    let mut is_first = true;
    for route in list(said, "routes") {
        if !std::mem::take(&mut is_first) {
            page.line("");
        }
        let outcomes = part(route, "outcomes");
        page.line(format!("{} (queue {})", text(route, "route"), text(route, "queue")));
        page.pairs(&[
            ("outcomes", standing(outcomes, now)),
            ("last hour", last_hour(part(outcomes, "last_hour"))),
            ("queue", queue(part(route, "infrastructure"), now)),
        ]);
        for flag in list(route, "flags") {
            page.text(format!("! {}", text(flag, "words")));
        }
        if count(outcomes, "overdue") > 0 {
            page.line(format!("  see: upshot overdue --route={}", text(route, "route")));
        }
        if count(part(outcomes, "last_hour"), "missed") > 0 {
            page.line(format!("  see: upshot outcomes --status=missed --route={}", text(route, "route")));
        }
    }
    if is_first {
        page.text("no route is in the settings, and none has had an event");
    }
}

fn standing(of: &Value, now: DateTime<Utc>) -> String {
    let mut said = format!("{} open", text(of, "open"));
    if count(of, "at_risk") > 0 {
        let cut = if of.get("at_risk_cut") == Some(&Value::Bool(true)) { " or more" } else { "" };
        said = format!("{said} ({}{cut} at risk)", text(of, "at_risk"));
    }
    said = format!("{said}, {} overdue", text(of, "overdue"));
    if has(of, "oldest_due") {
        said = format!("{said} (the oldest by {})", age(of, "oldest_due", now));
    }
    if count(of, "reopened") > 0 {
        said = format!("{said}, {} reopened", text(of, "reopened"));
    }
    said
}

fn last_hour(figures: &Value) -> String {
    let [received, in_time, late, missed] =
        ["received", "achieved_in_time", "achieved_late", "missed"].map(|name| text(figures, name));
    format!(
        "{received} received, {in_time} achieved in time, {late} late, {missed} missed; in time: {}",
        share(figures)
    )
}

fn queue(of: &Value, now: DateTime<Utc>) -> String {
    let calm = if of.get("is_calm") == Some(&Value::Bool(true)) { "calm" } else { "not calm" };
    let [ready, running, scheduled, parked, dead] =
        ["ready", "running", "scheduled", "parked", "dead"].map(|name| text(of, name));
    let mut said = format!(
        "{calm}: {ready} ready, {running} running, {scheduled} scheduled, {parked} parked, {dead} dead"
    );
    if has(of, "next_ready_since") {
        said = format!("{said}; the next waits for {}", age(of, "next_ready_since", now));
    }
    if of.get("is_paused") == Some(&Value::Bool(true)) {
        said.push_str("; paused");
    }
    if has(of, "unread_events") {
        let (events, bridges) = (text(of, "unread_events"), text(of, "bridges"));
        format!("{said}; RabbitMQ: unread events {events}, bridges {bridges}")
    } else {
        format!("{said}; RabbitMQ does not answer")
    }
}

fn count(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(0)
}
