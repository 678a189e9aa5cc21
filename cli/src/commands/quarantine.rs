//! `upshot quarantine`: messages that could not be accepted, through the API.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, has, optional, part, rfc3339, text, when},
};
use crate::{
    arguments::Quarantine,
    output::{self, Output, Page, Table},
};

const PATH: &str = "/v1/quarantine";
const LIST: List = List { path: PATH, entries: "messages", cursor: "cursor" };
const HEADINGS: [&str; 5] = ["MESSAGE", "REASON", "TYPE", "PLACE", "FOR"];

/// Prints a table of messages, one message, or the counts.
pub async fn show(settings: &Settings, asked: &Quarantine, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &asked.api)?;
    if let Some(id) = &asked.id {
        let query: Vec<_> = asked.reveal.then(|| ("reveal", true.to_string())).into_iter().collect();
        let message = client.read(&format!("{PATH}/{id}"), &query).await?;
        out.answer(&message, |page| print(page, &message, Utc::now()))?;
        return Ok(());
    }
    if asked.counts {
        let summary = summary(&client).await?;
        out.answer(&summary, |page| counts(page, &summary, Utc::now()))?;
        return Ok(());
    }
    let filters = [
        ("reason", asked.reason.clone()),
        ("type", asked.kind.clone()),
        ("source", asked.source.clone()),
        ("subject", asked.subject.clone()),
        ("since", asked.since.map(rfc3339)),
        ("until", asked.until.map(rfc3339)),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut table = table();
    let show = |found: &[Value]| {
        let now = Utc::now();
        let rows: Vec<_> = found.iter().map(|message| row(message, now)).collect();
        Ok(out.items(found, |page| page.table(&mut table, &rows))?)
    };
    LIST.follow(&client, &query, &asked.paging, show).await?;
    if let Some(unlisted) = count(&summary(&client).await?, "unlisted") {
        output::note(format_args!(
            "RabbitMQ has {unlisted} messages in quarantine that are not listed: `upshot quarantine --counts` says more"
        ));
    }
    Ok(())
}

/// How many messages there are.
async fn summary(client: &Client) -> anyhow::Result<Value> {
    let first = client.read(PATH, &[("limit", "1".to_owned())]).await?;
    Ok(part(&first, "summary").clone())
}

/// A count that is not 0.
fn count(summary: &Value, name: &str) -> Option<u64> {
    summary.get(name).and_then(Value::as_u64).filter(|count| *count > 0)
}

/// The table of messages.
pub(super) fn table() -> Table<5> {
    let mut table = Table::new(HEADINGS);
    table.wrapping(&[2, 3]);
    table
}

/// A message in it.
pub(super) fn row(message: &Value, now: DateTime<Utc>) -> [String; 5] {
    let [id, reason, kind] = ["id", "reason", "type"].map(|name| text(message, name));
    [id, reason, kind, optional(message, "place"), age(message, "first_seen", now)]
}

/// Prints what is known of a message.
pub(super) fn print(page: &mut Page, message: &Value, now: DateTime<Utc>) {
    page.line(format!("message {}: {}", text(message, "id"), text(message, "reason")));
    page.line("");
    page.pairs(&[
        ("place", optional(message, "place")),
        ("detail", optional(message, "detail")),
        ("type", optional(message, "type")),
        ("source", optional(message, "source")),
        ("event id", optional(message, "event_id")),
        ("subject", optional(message, "subject")),
        ("routing key", optional(message, "routing_key")),
        ("size", format!("{} bytes", text(message, "size"))),
        ("first came", when(message, "first_seen", now)),
        ("last came", when(message, "last_seen", now)),
        ("times", text(message, "times")),
    ]);
    page.heading("The message");
    page.text("  It is in RabbitMQ, in the queue upshot.quarantine, under this id in the header x-upshot-quarantine-id.");
}

/// Prints how many messages there are.
pub(super) fn counts(page: &mut Page, summary: &Value, now: DateTime<Utc>) {
    for line in told(summary, now) {
        page.text(line);
    }
    let reasons = part(summary, "reasons").as_object();
    let row = |(reason, counts): (&String, &Value)| {
        [reason.clone(), text(counts, "listed"), text(counts, "received")]
    };
    let rows: Vec<[String; 3]> = reasons.into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        page.line("");
        page.table(&mut Table::new(["REASON", "LISTED", "EVER"]), &rows);
    }
}

/// The sentences of the counts.
fn told(summary: &Value, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = vec![format!("{} messages in quarantine are listed", text(summary, "listed"))];
    if has(summary, "oldest") {
        lines.push(format!("the oldest first came {} ago", age(summary, "oldest", now)));
    }
    if !has(summary, "in_rabbitmq") {
        lines.push("RabbitMQ does not answer: its own count is unknown".to_owned());
        return lines;
    }
    lines.push(format!("RabbitMQ has {} in the queue upshot.quarantine", text(summary, "in_rabbitmq")));
    if let Some(unlisted) = count(summary, "unlisted") {
        lines.push(format!(
            "{unlisted} of them are not listed: they came before there was a list, their rows are forgotten \
             (quarantine.keep), or a bridge was killed"
        ));
    }
    if let Some(missing) = count(summary, "missing") {
        lines.push(format!(
            "{missing} fewer than came: someone took them out of RabbitMQ ({} copies came of the listed messages)",
            text(summary, "copies")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_from_rabbitmq_is_told() {
        let now = "2026-03-14T09:30:00Z".parse().unwrap();
        let summary = |depth: Value, unlisted: u64, missing: u64| {
            json!({"listed": 3, "copies": 4, "in_rabbitmq": depth, "unlisted": unlisted, "missing": missing,
                "oldest": "2026-03-14T09:26:53.589Z", "reasons": {}})
        };
        let calm = told(&summary(json!(4), 0, 0), now);
        assert_eq!(
            calm,
            [
                "3 messages in quarantine are listed",
                "the oldest first came 3m ago",
                "RabbitMQ has 4 in the queue upshot.quarantine"
            ]
        );
        assert!(told(&summary(json!(9), 5, 0), now)[3].starts_with("5 of them are not listed"));
        assert!(told(&summary(json!(1), 0, 3), now)[3].starts_with("3 fewer than came: someone took"));
        assert!(told(&summary(Value::Null, 0, 0), now)[2].contains("is unknown"));
    }
}
