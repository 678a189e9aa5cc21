//! `upshot dead`, `dead-retry` and `dead-purge`: dead jobs, through the API.

use serde_json::{Value, json};
use upshot_shared::Settings;

use super::{
    client::Client,
    table::{self, list, text},
};
use crate::arguments::{ApiAddress, Dead, DeadPurge, DeadRetry, Which};

/// As much of a message as a table shows.
const SHOWN: usize = 60;

/// Prints a table of groups.
pub async fn groups(settings: &Settings, dead: &Dead) -> anyhow::Result<()> {
    let mut query = vec![("limit", dead.limit.to_string())];
    query.extend(dead.queue.as_ref().map(|queue| ("queue", queue.to_string())));
    let page = Client::new(settings, &dead.api)?.read("/v1/dead", &query).await?;
    let rows: Vec<_> = list(&page, "groups").map(row).collect();
    let headings = ["QUEUE", "GROUP", "KIND", "CLASS", "DEAD", "DEATHS", "LAST SEEN", "SAMPLE", "MESSAGE"];
    table::print(headings, &rows);
    if page.get("next").is_some_and(|next| !next.is_null()) {
        println!("… there are more; raise --limit or name a --queue");
    }
    Ok(())
}

fn row(group: &Value) -> [String; 9] {
    let sample = text(group, "sample");
    let sample = sample.rsplit('/').next().unwrap_or_default().to_owned();
    let message = text(group, "message");
    let shown: String = message.chars().take(SHOWN).collect();
    let shown = if shown.len() < message.len() { format!("{shown}…") } else { shown };
    let [queue, fingerprint, kind, class, dead, count, last] =
        ["queue", "fingerprint", "kind", "class", "dead", "count", "last_seen"].map(|name| text(group, name));
    [queue, fingerprint, kind, class, dead, count, last, sample, shown]
}

/// Makes many dead jobs run again.
pub async fn retry(settings: &Settings, retry: &DeadRetry) -> anyhow::Result<()> {
    let mut body = filter(&retry.which);
    if let Some(pace) = &retry.pace {
        body["pace"] = json!(pace);
    }
    // Each call begins its pace anew, so the first one that finds something is
    // the last.
    let (retried, more) = many(settings, &retry.api, "retry", "retried", body, 1).await?;
    println!("{retried} jobs run again{}", hint(more));
    if let Some(pace) = retry.pace.as_ref().filter(|_| more) {
        println!(
            "run it when these have started, after {retried} times {pace}: each call begins its pace anew"
        );
    }
    Ok(())
}

/// Forgets many dead jobs.
pub async fn purge(settings: &Settings, purge: &DeadPurge) -> anyhow::Result<()> {
    let mut body = filter(&purge.which);
    body["older_than"] = json!(purge.older_than);
    let (purged, more) = many(settings, &purge.api, "purge", "purged", body, purge.which.limit).await?;
    println!("{purged} jobs forgotten{}", hint(more));
    Ok(())
}

/// Calls until `enough` are done or all were looked at: kind and tenant are
/// looked for among a bounded number of jobs a call. Returns how many were done
/// and whether there may be more.
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
    if more { "; there may be more: the same command goes on" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_row() {
        let group = json!({"queue": "invoices", "fingerprint": "5f", "kind": "k", "class": "permanent", "dead": 2,
            "count": 3, "last_seen": "T", "sample": "http://h/v1/jobs/abc", "message": "ü".repeat(70)});
        let row = row(&group);
        assert_eq!((row[7].as_str(), row[8].chars().count()), ("abc", SHOWN + 1));
    }
}
