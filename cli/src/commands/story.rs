//! `upshot story`: everything about a business key, in order of time.

use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use upshot_runtime::Settings;
use url::form_urlencoded;

use super::{
    client::Client,
    value::{has, list, optional, text, when},
};
use crate::{
    arguments::Story,
    output::{Output, Page, Table},
};

/// A time in a story: to the millisecond, as causes lie close together.
const MILLISECONDS: &str = "%Y-%m-%d %H:%M:%S%.3f";
/// The longest bar of a wait. A bar grows by one where the wait doubles.
const LONGEST: u32 = 20;

/// Prints the story.
pub async fn tell(settings: &Settings, story: &Story, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &story.api)?;
    let path = format!("/v1/subjects/{}", utf8_percent_encode(&story.subject, NON_ALPHANUMERIC));
    let reveal = story.reveal.then(|| ("reveal", true.to_string()));
    let mut query: Vec<(&str, String)> = reveal.iter().cloned().collect();
    let (mut outcomes, mut entries) = (Vec::new(), Vec::new());
    loop {
        let said = client.read(&path, &query).await?;
        outcomes.extend(list(&said, "outcomes").cloned());
        entries.extend(list(&said, "story").cloned());
        let Some(cursor) = said.get("next").and_then(Value::as_str).and_then(cursor) else { break };
        query = reveal.iter().cloned().chain([("cursor", cursor)]).collect();
    }
    entries.retain(|entry| {
        let at = time_of(entry, "at");
        story.period.since.is_none_or(|since| at.is_none_or(|at| at >= since))
            && story.period.until.is_none_or(|until| at.is_none_or(|at| at <= until))
    });
    // Parts are in order by themselves.
    entries.sort_by_key(|entry| time_of(entry, "at"));
    let said = json!({"subject": story.subject, "outcomes": outcomes, "story": entries});
    out.answer(&said, |page| print(page, &said, Utc::now()))?;
    Ok(())
}

fn cursor(next: &str) -> Option<String> {
    let (_, query) = next.split_once('?')?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cursor")
        .map(|(_, value)| value.into_owned())
}

fn time_of(entry: &Value, name: &str) -> Option<DateTime<Utc>> {
    entry.get(name)?.as_str()?.parse().ok()
}

/// How each outcome stands, then what happened, then what can be done.
pub(super) fn print(page: &mut Page, said: &Value, now: DateTime<Utc>) {
    let outcomes: Vec<&Value> = list(said, "outcomes").collect();
    let several = outcomes.len() > 1;
    let jobs = if several { format!("{} jobs", outcomes.len()) } else { "1 job".to_owned() };
    page.text(format!("{}: {jobs} (times are UTC)", text(said, "subject")));
    let number = |job: &str| {
        let place =
            outcomes.iter().position(|outcome| outcome.get("job").and_then(Value::as_str) == Some(job));
        place.map_or_else(String::new, |place| format!("#{}", place + 1))
    };
    let row = |outcome: &&Value| {
        let status = text(outcome, "status").to_uppercase().replace('_', " ");
        let at_risk = if outcome.get("at_risk") == Some(&Value::Bool(true)) { ", at risk" } else { "" };
        let due = if has(outcome, "expected_by") {
            format!("due {}", when(outcome, "expected_by", now))
        } else {
            "without a due time".to_owned()
        };
        let job = text(outcome, "job");
        let named = if several { format!("{} {job}", number(&job)) } else { job };
        [named, text(outcome, "kind"), format!("{status}{at_risk}, {due}")]
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    page.table(Table::bare().indented().wrapping(&[2]), &rows);
    page.line("");
    let row = |entry: &Value| {
        let at =
            time_of(entry, "at").map_or_else(|| text(entry, "at"), |at| at.format(MILLISECONDS).to_string());
        let at = if several { format!("{at} {}", number(&text(entry, "job"))) } else { at };
        let receipt = optional(entry, "receipt");
        let receipt = if receipt.is_empty() { receipt } else { format!(" [receipt {receipt}]") };
        [at, format!("{}{}{receipt}", bar(entry), text(entry, "text"))]
    };
    let rows: Vec<_> = list(said, "story").map(row).collect();
    page.table(Table::bare().wrapping(&[1]), &rows);
    let advice: Vec<String> = outcomes.iter().flat_map(|outcome| advice(outcome)).collect();
    if !advice.is_empty() {
        page.heading("Next");
        advice.iter().for_each(|line| page.line(format!("  {line}")));
    }
}

/// A wait as a bar: longer where the wait was longer.
fn bar(entry: &Value) -> String {
    let Some((at, until)) = time_of(entry, "at").zip(time_of(entry, "until")) else { return String::new() };
    let seconds = (until - at).max(TimeDelta::zero()).num_seconds().unsigned_abs();
    let length = (u64::BITS - seconds.leading_zeros()).clamp(1, LONGEST);
    format!("{} ", "=".repeat(length as usize))
}

/// What an operator can do about an outcome.
fn advice(outcome: &Value) -> Vec<String> {
    let job = text(outcome, "job");
    if outcome.get("forgotten") == Some(&Value::Bool(true)) {
        return Vec::new();
    }
    match text(outcome, "status").as_str() {
        "missed" => vec![
            format!("upshot retry {job}  (run it again)"),
            format!("upshot waive {job} --reason=…  (settle it)"),
        ],
        "overdue" | "reopened" => vec![
            format!("upshot job {job}  (what it waits for)"),
            format!("upshot waive {job} --reason=…  (settle it)"),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_wait_has_a_longer_bar() {
        let wait = |until: &str| bar(&json!({"at": "2026-03-14T09:00:00Z", "until": until})).len() - 1;
        assert_eq!(wait("2026-03-14T09:00:01Z"), 1);
        assert_eq!(wait("2026-03-14T09:00:30Z"), 5);
        assert_eq!(wait("2026-03-14T10:00:00Z"), 12);
        assert_eq!(wait("2036-03-14T09:00:00Z"), 20);
        assert_eq!(bar(&json!({"at": "2026-03-14T09:00:00Z", "until": null})), "");
    }

    #[test]
    fn the_next_part_is_named_by_its_address() {
        assert_eq!(cursor("http://h/v1/subjects/a?limit=2&cursor=abc").as_deref(), Some("abc"));
        assert_eq!(cursor("http://h/v1/subjects/a"), None);
    }
}
