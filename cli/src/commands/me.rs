//! `upshot me`: the principal that the API takes the command for.

use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{has, list, part, text, when},
};
use crate::{
    arguments::Me,
    output::{Output, Page},
};

/// Prints the principal, its rights, and whose jobs it sees.
pub async fn show(settings: &Settings, me: &Me, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &me.api)?;
    let said = client.read("/v1/me", &[]).await?;
    out.answer(&said, |page| print(page, &client.base().to_string(), &said, chrono::Utc::now()))?;
    Ok(())
}

/// Prints a principal.
pub(super) fn print(page: &mut Page, api: &str, me: &Value, now: chrono::DateTime<chrono::Utc>) {
    page.text(format!("{} at {api}", text(me, "name")));
    let scope = part(me, "scope");
    page.pairs(&[
        ("role", if has(me, "role") { text(me, "role") } else { String::new() }),
        ("rights", names(me, "rights")),
        ("tenants", names(scope, "tenants")),
        ("queues", names(scope, "queues")),
        ("sources", names(scope, "sources")),
        ("until", when(me, "until", now)),
    ]);
}

/// The names of a list in one line; `all` for `*`.
pub(super) fn names(value: &Value, name: &str) -> String {
    let names: Vec<&str> = list(value, name).filter_map(Value::as_str).collect();
    if names == ["*"] { "all".to_owned() } else { names.join(", ") }
}
