//! `upshot dead`: failures by cause, through the API.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, has, list, optional, rfc3339, text, time, when},
};
use crate::{
    arguments::Dead,
    output::{Output, Page, Table},
};

const LIST: List = List { path: "/v1/dead", entries: "groups", cursor: "skip" };

/// Prints groups, each with what its jobs share; or one group with its history.
pub async fn groups(settings: &Settings, dead: &Dead, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &dead.api)?;
    let queue = dead.queue.as_ref().map(ToString::to_string);
    if let Some(group) = &dead.group {
        let query: Vec<_> = queue.into_iter().map(|queue| ("queue", queue)).collect();
        // What is no name of a group must not lead to another address.
        let name: String = group.chars().filter(char::is_ascii_alphanumeric).collect();
        if name.is_empty() || name != *group {
            anyhow::bail!("`{group}` is no group: `upshot dead` names the groups");
        }
        let body = client.read(&format!("{}/{name}", LIST.path), &query).await?;
        out.answer(&body, |page| print_history(page, &body, Utc::now()))?;
        return Ok(());
    }
    let filters = [
        ("queue", queue),
        ("kind", dead.kind.clone()),
        ("since", dead.since.map(rfc3339)),
        ("until", dead.until.map(rfc3339)),
        ("past", dead.past.then(|| true.to_string())),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut is_first = true;
    let show = |found: &[Value]| {
        let now = Utc::now();
        out.items(found, |page| print(page, found, is_first, now))?;
        is_first = false;
        Ok(())
    };
    LIST.follow(&client, &query, &dead.paging, show).await
}

/// Messages tell groups apart, so each message is shown whole, one below the other.
pub(super) fn print(page: &mut Page, groups: &[Value], is_first: bool, now: DateTime<Utc>) {
    if is_first && groups.is_empty() {
        page.line("no failures");
    }
    for (place, group) in groups.iter().enumerate() {
        if place > 0 || !is_first {
            page.line("");
        }
        print_group(page, group, now);
    }
}

fn print_group(page: &mut Page, group: &Value, now: DateTime<Utc>) {
    let [fingerprint, queue, kind, class, dead, retrying, count] =
        ["fingerprint", "queue", "kind", "class", "dead", "retrying", "count"].map(|name| text(group, name));
    let last = age(group, "last_seen", now);
    page.text(format!(
        "group {fingerprint} in queue {queue}: {dead} dead, {retrying} retrying, last {last} ago"
    ));
    let mut pairs = vec![
        ("message", text(group, "message")),
        ("class", class),
        ("kind", kind),
        ("failures", format!("{count} since {}", text(group, "first_seen"))),
    ];
    if has(group, "again_since") {
        pairs.push(("again since", when(group, "again_since", now)));
    }
    if has(group, "sample") {
        let sample = text(group, "sample");
        pairs.push(("sample", format!("upshot job {}", sample.rsplit('/').next().unwrap_or_default())));
    }
    page.pairs(&pairs);
}

/// Prints a group and its history.
pub(super) fn print_history(page: &mut Page, group: &Value, now: DateTime<Utc>) {
    print_group(page, group, now);
    page.heading("What was done");
    let acts: Vec<_> = list(group, "acts")
        .map(|act| {
            let [retried, succeeded, again, other, cancelled, not_ended] =
                ["retried", "succeeded", "again", "other", "cancelled", "not_ended"].map(|name| text(act, name));
            let by = optional(act, "by");
            let by = if by.is_empty() { by } else { format!(" by {by}") };
            let became = format!(
                "{succeeded} succeeded, {again} died so again, {other} died of another cause, {cancelled} cancelled, \
                 {not_ended} not ended"
            );
            [time(act, "at"), format!("{retried} retried{by}: {became}")]
        })
        .collect();
    match acts.is_empty() {
        true => page.line("  no job of it was retried by an operator"),
        false => page.table(Table::bare().wrapping(&[1]), &acts),
    }
    page.heading("Failures by tenant");
    let tenant = |hit: &Value| if has(hit, "tenant") { text(hit, "tenant") } else { "(none)".to_owned() };
    let mut tenants: Vec<_> = list(group, "tenants").map(|hit| [tenant(hit), text(hit, "count")]).collect();
    if group.get("other_tenants").and_then(Value::as_u64).is_some_and(|others| others > 0) {
        tenants.push(["(others)".to_owned(), text(group, "other_tenants")]);
    }
    page.table(Table::bare().wrapping(&[0]), &tenants);
    page.heading("Failures by hour");
    let hours: Vec<_> = list(group, "hours").map(|hour| [time(hour, "at"), text(hour, "count")]).collect();
    page.table(&mut Table::bare(), &hours);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::tests::written;

    #[test]
    fn a_group_shows_all_of_its_message() {
        let message =
            "connection refused by mail.example:25 while sending the invoice, after EHLO: 421 try later";
        let group = json!({"queue": "invoices", "fingerprint": "5f1d7a84db00d2fc", "kind": "invoice.issue",
            "class": "transient", "dead": 2, "retrying": 4, "count": 3, "first_seen": "2026-03-14T09:26:53Z",
            "last_seen": "2026-03-14T09:26:53Z", "sample": "http://h/v1/jobs/abc", "message": message});
        let groups = [group.clone(), group];
        let now = "2026-03-14T09:30:00Z".parse().unwrap();
        let shown = written(false, Some(80), |out| {
            out.items(&groups, |page| print(page, &groups, true, now)).unwrap();
        });
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.matches(message).count(), 2, "{shown}");
        assert!(shown.contains("upshot job abc") && shown.contains("2 dead, 4 retrying, last"), "{shown}");
    }
}
