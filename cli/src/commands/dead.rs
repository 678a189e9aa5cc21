//! `upshot dead`, `dead-retry` and `dead-purge`: dead jobs, through the API.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, text},
};
use crate::{
    arguments::{ApiAddress, Dead, DeadPurge, DeadRetry, Which},
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

/// Makes many dead jobs run again.
pub async fn retry(settings: &Settings, retry: &DeadRetry, out: &mut Output) -> anyhow::Result<()> {
    let mut body = filter(&retry.which);
    if let Some(pace) = &retry.pace {
        body["pace"] = json!(pace);
    }
    // Each call starts its pace again, so the first call that finds jobs is the last.
    let (retried, more) = many(settings, &retry.api, "retry", "retried", body, 1).await?;
    out.answer(&json!({ "retried": retried, "more": more }), |page| {
        page.text(format!("{retried} jobs run again{}", hint(more)));
        if let Some(pace) = retry.pace.as_ref().filter(|_| more) {
            page.text(format!(
                "run it when these have started, after {retried} times {pace}: each call starts its pace again"
            ));
        }
    })?;
    Ok(())
}

/// Forgets many dead jobs.
pub async fn purge(settings: &Settings, purge: &DeadPurge, out: &mut Output) -> anyhow::Result<()> {
    let mut body = filter(&purge.which);
    body["older_than"] = json!(purge.older_than);
    let (purged, more) = many(settings, &purge.api, "purge", "purged", body, purge.which.limit).await?;
    out.answer(&json!({ "purged": purged, "more": more }), |page| {
        page.text(format!("{purged} jobs forgotten{}", hint(more)));
    })?;
    Ok(())
}

/// Repeats the call until `enough` jobs are done or all were examined, because a call examines a
/// bounded number of jobs. Returns how many were done and whether there may be more.
async fn many(
    settings: &Settings,
    api: &ApiAddress,
    verb: &str,
    counted: &str,
    mut body: Value,
    enough: u64,
) -> anyhow::Result<(u64, bool)> {
    let client = Client::new(settings, api)?;
    let limit = body.get("limit").and_then(Value::as_u64).unwrap_or_default();
    let mut all = 0;
    loop {
        let said = client.post(&format!("/v1/dead/{verb}"), &body).await?;
        all += said.get(counted).and_then(Value::as_u64).unwrap_or_default();
        let next = said.get("next").cloned().unwrap_or_default();
        if next.is_null() || all >= enough {
            return Ok((all, !next.is_null()));
        }
        body["from"] = next;
        body["limit"] = json!(limit.saturating_sub(all).max(1));
    }
}

fn filter(which: &Which) -> Value {
    json!({
        "queue": which.queue,
        "group": which.group,
        "kind": which.kind,
        "tenant": which.tenant,
        "limit": which.limit,
    })
}

fn hint(more: bool) -> &'static str {
    if more { "; there may be more: the same command continues" } else { "" }
}

#[cfg(test)]
mod tests {
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
