//! `upshot audit-log`: what principals did, through the API.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{has, optional, part, text, time},
};
use crate::{
    arguments::AuditLog,
    output::{Output, Table},
};

const LIST: List = List { path: "/v1/audit", entries: "acts", cursor: "cursor" };
const HEADINGS: [&str; 5] = ["AT (UTC)", "PRINCIPAL", "OPERATION", "ABOUT", "RESULT"];

/// Prints a table of acts.
pub async fn show(settings: &Settings, asked: &AuditLog, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &asked.api)?;
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let filters = [
        ("principal", asked.principal.clone()),
        ("right", asked.right.map(|right| right.to_string())),
        ("target", asked.target.clone()),
        ("result", asked.result.map(|result| result.to_string())),
        ("from", asked.since.map(time)),
        ("to", asked.until.map(time)),
        ("reveal", asked.reveal.then(|| true.to_string())),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut table = table();
    let show = |found: &[Value]| {
        let rows: Vec<_> = found.iter().map(row).collect();
        Ok(out.items(found, |page| page.table(&mut table, &rows))?)
    };
    LIST.follow(&client, &query, &asked.paging, show).await
}

/// The table of acts.
pub(super) fn table() -> Table<5> {
    let mut table = Table::new(HEADINGS);
    table.wrapping(&[1, 2, 3, 4]);
    table
}

/// An act in it.
pub(super) fn row(act: &Value) -> [String; 5] {
    let at = time(act, "at").trim_end_matches(" UTC").to_owned();
    let principal = part(act, "principal");
    let named = if has(principal, "name") { text(principal, "name") } else { optional(act, "address") };
    let suppressed = part(act, "suppressed");
    if has(suppressed, "refusals") {
        let refusals = format!("{} more refusals", text(suppressed, "refusals"));
        return [at, "-".to_owned(), refusals, names(part(suppressed, "addresses")), text(act, "result")];
    }
    let mut about = names(part(act, "target"));
    if has(act, "reason") {
        about = [about, format!("({})", text(act, "reason"))].join(" ");
    }
    let mut result = text(act, "result");
    if has(act, "problem") {
        result = format!("{result}: {}", text(act, "problem"));
    }
    [at, named, text(act, "operation"), about, result]
}

/// The members of an object, each as `name=value`.
fn names(object: &Value) -> String {
    let members = object.as_object().into_iter().flatten();
    let shown = members.map(|(name, _)| format!("{name}={}", text(object, name)));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_act_is_one_row() {
        let act = json!({"at": "2026-03-14T09:26:53.589Z", "principal": {"kind": "token", "name": "token shop (0f)"},
            "operation": "waive_outcome", "target": {"id": "mrtu", "queue": "invoices"}, "reason": "called",
            "result": "failed", "problem": "already-decided", "suppressed": null});
        let expected = [
            "2026-03-14 09:26:53",
            "token shop (0f)",
            "waive_outcome",
            "id=mrtu queue=invoices (called)",
            "failed: already-decided",
        ];
        assert_eq!(row(&act), expected);
        let unknown = json!({"at": "2026-03-14T09:26:53.589Z", "principal": null, "address": "192.0.2.7",
            "operation": "retry_job", "target": {}, "result": "refused", "problem": "unauthenticated"});
        assert_eq!(row(&unknown)[1], "192.0.2.7");
        let counted = json!({"at": "2026-03-14T09:26:53.589Z", "result": "suppressed",
            "suppressed": {"refusals": 490, "addresses": {"192.0.2.7": 490}}});
        assert_eq!(row(&counted)[2..], ["490 more refusals", "192.0.2.7=490", "suppressed"]);
    }
}
