//! `upshot tenants`: figures by tenant, through the API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    outcomes::share,
    pages::List,
    value::{has, list, part, text, time},
};
use crate::{
    arguments::Tenants,
    output::{Output, Page, Table},
};

const LIST: List = List { path: "/v1/tenants", entries: "tenants", cursor: "skip" };
const FIGURES: [&str; 7] =
    ["achieved_in_time", "achieved_late", "partial", "missed", "became_overdue", "cancelled", "waived"];

/// Prints a table of tenants, or one tenant.
pub async fn show(settings: &Settings, asked: &Tenants, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &asked.api)?;
    if let Some(tenant) = &asked.tenant {
        let path = format!("{}/{}", LIST.path, utf8_percent_encode(tenant, NON_ALPHANUMERIC));
        let body = client.read(&path, &[]).await?;
        out.answer(&body, |page| print(page, &body))?;
        return Ok(());
    }
    let query: Vec<_> = asked.sort.iter().map(|sort| ("sort", sort.clone())).collect();
    let mut table = table();
    let show = |found: &[Value]| {
        let rows: Vec<_> = found.iter().map(row).collect();
        Ok(out.items(found, |page| page.table(&mut table, &rows))?)
    };
    LIST.follow(&client, &query, &asked.paging, show).await
}

/// The table of tenants.
pub(super) fn table() -> Table<9> {
    let mut table = Table::new([
        "TENANT",
        "OPEN",
        "OVERDUE",
        "IN TIME",
        "LATE",
        "PARTIAL",
        "MISSED",
        "SHARE",
        "MISSED TODAY",
    ]);
    table.wrapping(&[0]);
    table
}

/// A tenant in it: what is open, its 30 days, and what went wrong today.
pub(super) fn row(tenant: &Value) -> [String; 9] {
    let (days, today) = (part(tenant, "days"), part(tenant, "today"));
    let [open, overdue] = ["open", "overdue"].map(|name| text(tenant, name));
    let [in_time, late, partial, missed] =
        ["achieved_in_time", "achieved_late", "partial", "missed"].map(|name| text(days, name));
    let name = if has(tenant, "tenant") { text(tenant, "tenant") } else { "(none)".to_owned() };
    [name, open, overdue, in_time, late, partial, missed, share(days), text(today, "missed")]
}

/// Prints one tenant.
pub(super) fn print(page: &mut Page, tenant: &Value) {
    page.text(format!("tenant {}, as of {}", text(tenant, "tenant"), time(tenant, "as_of")));
    page.line(format!("{} open, {} of them overdue", text(tenant, "open"), text(tenant, "overdue")));
    page.line("");
    let sums = [("30 days", part(tenant, "days")), ("today", part(tenant, "today"))];
    let figures = |name: String, figures: &Value| {
        let [in_time, late, partial, missed, overdue, cancelled, waived] =
            FIGURES.map(|name| text(figures, name));
        [name, in_time, late, partial, missed, overdue, cancelled, waived, share(figures)]
    };
    let mut rows: Vec<_> = sums.into_iter().map(|(name, of)| figures(name.to_owned(), of)).collect();
    // The beginning of a day is its name.
    let name = |day: &Value| text(day, "day").chars().take_while(|c| *c != 'T').collect();
    rows.extend(list(tenant, "by_day").map(|day| figures(name(day), day)));
    let headings = ["", "IN TIME", "LATE", "PARTIAL", "MISSED", "OVERDUE", "CANCELLED", "WAIVED", "SHARE"];
    page.table(&mut Table::new(headings), &rows);
    page.heading("Causes of its failures");
    let causes: Vec<_> = list(tenant, "causes")
        .map(|cause| ["group", "count", "class", "kind", "message"].map(|name| text(cause, name)))
        .collect();
    match causes.is_empty() {
        true => page.line("  no job of it is dead or runs again after a failure"),
        false => page
            .table(Table::new(["GROUP", "FAILURES", "CLASS", "KIND", "MESSAGE"]).wrapping(&[3, 4]), &causes),
    }
}
