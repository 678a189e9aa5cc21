//! `upshot erase`: erases what is kept about a business key.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    value::{list, text},
};
use crate::{arguments::Erase, output::Output};

/// Erases the subject.
pub async fn run(settings: &Settings, erase: &Erase, out: &mut Output) -> anyhow::Result<()> {
    let path = format!("/v1/subjects/{}", utf8_percent_encode(&erase.subject, NON_ALPHANUMERIC));
    let said = Client::new(settings, &erase.api)?.delete(&path, &[]).await?;
    out.answer(&said, |page| {
        let n = |name| text(&said, name);
        page.text(format!(
            "{}: erased jobs: {}, verdicts of forgotten jobs: {}, signals: {}, entries about messages in quarantine: {}",
            erase.subject,
            n("jobs"),
            n("verdicts"),
            n("signals"),
            n("quarantined")
        ));
        let kept: Vec<&str> = list(&said, "kept").filter_map(Value::as_str).collect();
        if !kept.is_empty() {
            page.text(format!("jobs that have not ended stay; cancel them, and erase again: {}", kept.join(", ")));
        }
    })?;
    Ok(())
}
