//! `upshot dead`: dead jobs, grouped by cause, through the API.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, text},
};
use crate::{
    arguments::Dead,
    output::{Output, Page},
};

const LIST: List = List { path: "/v1/dead", entries: "groups", cursor: "skip" };

/// Prints groups, each with what its jobs share.
pub async fn groups(settings: &Settings, dead: &Dead, out: &mut Output) -> anyhow::Result<()> {
    let query: Vec<_> = dead.queue.iter().map(|queue| ("queue", queue.to_string())).collect();
    let client = Client::new(settings, &dead.api)?;
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
        page.line("no dead jobs");
    }
    for (place, group) in groups.iter().enumerate() {
        if place > 0 || !is_first {
            page.line("");
        }
        let [fingerprint, queue, kind, class, dead, count] =
            ["fingerprint", "queue", "kind", "class", "dead", "count"].map(|name| text(group, name));
        let last = age(group, "last_seen", now);
        page.text(format!("group {fingerprint} in queue {queue}: {dead} dead, last {last} ago"));
        let sample = text(group, "sample");
        page.pairs(&[
            ("message", text(group, "message")),
            ("class", class),
            ("kind", kind),
            ("deaths", format!("{count} since {}", text(group, "first_seen"))),
            ("sample", format!("upshot job {}", sample.rsplit('/').next().unwrap_or_default())),
        ]);
    }
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
            "class": "transient", "dead": 2, "count": 3, "first_seen": "2026-03-14T09:26:53Z",
            "last_seen": "2026-03-14T09:26:53Z", "sample": "http://h/v1/jobs/abc", "message": message});
        let groups = [group.clone(), group];
        let now = "2026-03-14T09:30:00Z".parse().unwrap();
        let shown = written(false, Some(80), |out| {
            out.items(&groups, |page| print(page, &groups, true, now)).unwrap();
        });
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.matches(message).count(), 2, "{shown}");
        assert!(shown.contains("upshot job abc") && shown.contains("2 dead, last 3m ago"), "{shown}");
    }
}
