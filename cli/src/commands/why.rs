//! `upshot why`: what holds a job now, and when it will probably finish.

use chrono::{DateTime, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{has, list, part, text, when},
};
use crate::{
    arguments::Why,
    output::{Output, Page, Table},
};

/// Details that the sentence does not have.
const DETAILS: [(&str, &str); 3] =
    [("holders", "run under it"), ("builds", "builds"), ("condition", "condition")];

/// Prints what holds a job.
pub async fn show(settings: &Settings, why: &Why, out: &mut Output) -> anyhow::Result<()> {
    let said = Client::new(settings, &why.api)?.read(&format!("/v1/jobs/{}/why", why.id), &[]).await?;
    out.answer(&said, |page| print(page, &said, Utc::now()))?;
    Ok(())
}

/// The sentence, then the rest as a table.
pub(super) fn print(page: &mut Page, said: &Value, now: DateTime<Utc>) {
    page.text(text(said, "text"));
    let mut rows =
        vec![["reason".to_owned(), text(said, "reason")], ["since".to_owned(), when(said, "since", now)]];
    let details = part(said, "details");
    for (name, heading) in DETAILS.into_iter().filter(|(name, _)| has(details, name)) {
        let value = match details.get(name).and_then(Value::as_array) {
            Some(_) => {
                let each: Vec<&str> = list(details, name).filter_map(Value::as_str).collect();
                each.join(", ")
            }
            None => text(details, name),
        };
        rows.push([heading.to_owned(), value]);
    }
    for also in list(said, "also") {
        rows.push([format!("also {}", text(also, "reason")), text(also, "text")]);
    }
    for name in ["start", "finish"] {
        rows.push([name.to_owned(), range(part(said, "estimate"), name, now)]);
    }
    page.table(Table::bare().indented().wrapping(&[1]), &rows);
}

/// The earliest and the latest time of a range.
fn range(estimate: &Value, name: &str, now: DateTime<Utc>) -> String {
    let ends: Vec<String> =
        list(estimate, name).map(|end| when(&serde_json::json!({ "at": end }), "at", now)).collect();
    match ends.as_slice() {
        [from, to] if from == to => from.clone(),
        [from, to] => format!("{from} to {to}"),
        _ => "not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_has_its_ends_or_is_not_known() {
        let now = "2026-03-14T09:30:00Z".parse().unwrap();
        assert_eq!(range(&Value::Null, "start", now), "not known");
        let estimate = json!({"start": ["2026-03-14T09:30:00Z", "2026-03-14T09:40:00Z"]});
        let said = range(&estimate, "start", now);
        assert!(said.contains("09:30") && said.contains(" to ") && said.contains("09:40"), "{said}");
    }
}
