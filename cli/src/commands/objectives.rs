//! `upshot objectives`: how much of each route's budget of errors is left.

use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{list, text},
};
use crate::{
    arguments::Objectives,
    output::{Output, Page, Table},
};

/// Prints a row for each route with an objective.
pub async fn show(settings: &Settings, objectives: &Objectives, out: &mut Output) -> anyhow::Result<()> {
    let said = Client::new(settings, &objectives.api)?.read("/v1/objectives", &[]).await?;
    out.answer(&said, |page| print(page, &said))?;
    Ok(())
}

/// The rows.
pub(super) fn print(page: &mut Page, said: &Value) {
    let rows: Vec<_> = list(said, "objectives").map(row).collect();
    if rows.is_empty() {
        page.text("no route has an objective: write objective = 0.999 into one of [[routes]]");
        return;
    }
    let headings = ["ROUTE", "OBJECTIVE", "NOT IN TIME", "LEFT", "1 h", "6 h", "3 d", "PACE"];
    page.table(Table::new(headings).wrapping(&[0]), &rows);
}

/// How a route stands: the budget of 30 days, and the burn over each time.
fn row(of: &Value) -> [String; 8] {
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
    let left =
        number(of, "budget_left").map_or_else(|| "-".to_owned(), |left| format!("{:.1} %", left * 100.0));
    let mut burns = list(of, "burn").map(|burn| number(burn, "rate"));
    let mut burn = || burns.next().flatten().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    [
        text(of, "route"),
        text(of, "objective"),
        text(of, "not_in_time"),
        left,
        burn(),
        burn(),
        burn(),
        text(of, "pace"),
    ]
}
