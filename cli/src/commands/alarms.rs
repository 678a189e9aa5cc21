//! `upshot alarms`: what is wrong now, by cause.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{age, has, list, part, text},
};
use crate::{
    arguments::Alarms,
    output::{Output, Page, Table},
};

/// Prints a row for each cause, and how the webhook does.
pub async fn show(settings: &Settings, alarms: &Alarms, out: &mut Output) -> anyhow::Result<()> {
    let said = Client::new(settings, &alarms.api)?.read("/v1/alarms", &[]).await?;
    out.answer(&said, |page| print(page, &said, Utc::now()))?;
    Ok(())
}

/// The rows.
pub(super) fn print(page: &mut Page, said: &Value, now: DateTime<Utc>) {
    let (on, coming): (Vec<&Value>, Vec<&Value>) =
        list(said, "alarms").partition(|alarm| has(alarm, "on_since"));
    if on.is_empty() && has(said, "looked_at") {
        page.text(format!("no alarm is on; last looked {} ago", age(said, "looked_at", now)));
    } else if on.is_empty() {
        page.text("no API has looked yet");
    } else {
        let row = |alarm: &&Value| {
            [
                text(alarm, "severity"),
                age(alarm, "on_since", now),
                text(alarm, "summary"),
                text(alarm, "remedy"),
            ]
        };
        let rows: Vec<_> = on.iter().map(row).collect();
        page.table(Table::new(["SEVERITY", "FOR", "WHAT", "SEE"]).wrapping(&[2, 3]), &rows);
    }
    for alarm in coming {
        page.text(format!("not on yet: {} (for {})", text(alarm, "summary"), age(alarm, "since", now)));
    }
    webhook(page, part(said, "webhook"));
}

/// What is wrong with the webhook, if anything.
fn webhook(page: &mut Page, of: &Value) {
    if of.get("is_set") != Some(&Value::Bool(true)) {
        return;
    }
    if of.get("is_gone") == Some(&Value::Bool(true)) {
        page.text("! the webhook answered 410 and gets no more until alarms.webhook changes");
    } else if has(of, "last_failure") {
        let (waiting, why) = (text(of, "waiting"), text(of, "last_failure"));
        page.text(format!("! the webhook could not be told; {waiting} messages wait: {why}"));
    }
}
