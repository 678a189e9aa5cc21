//! `upshot waive`, `note` and `owner`: what operators remark about an outcome.

use serde_json::{Value, json};
use upshot_runtime::Settings;

use super::client::Client;
use crate::{
    arguments::{ApiAddress, Note, Owner, Waive},
    output::Output,
};

/// Settles an outcome.
pub async fn waive(settings: &Settings, waive: &Waive, out: &mut Output) -> anyhow::Result<()> {
    let body = json!({"reason": waive.reason, "by": waive.by.by});
    let told = format!("the outcome of job {} is waived by {}: {}", waive.id, waive.by.by, waive.reason);
    remark(settings, &waive.api, &format!("/v1/outcomes/{}/waive", waive.id), &body, told, out).await
}

/// Writes a note.
pub async fn note(settings: &Settings, note: &Note, out: &mut Output) -> anyhow::Result<()> {
    let body = json!({"note": note.text, "by": note.by.by});
    let told = format!("job {} has the note of {}: {}", note.id, note.by.by, note.text);
    remark(settings, &note.api, &format!("/v1/outcomes/{}/note", note.id), &body, told, out).await
}

/// Names an owner.
pub async fn owner(settings: &Settings, owner: &Owner, out: &mut Output) -> anyhow::Result<()> {
    let body = json!({"owner": owner.owner, "by": owner.by.by});
    let told = format!("{} is in charge of the outcome of job {}", owner.owner, owner.id);
    remark(settings, &owner.api, &format!("/v1/outcomes/{}/owner", owner.id), &body, told, out).await
}

async fn remark(
    settings: &Settings,
    api: &ApiAddress,
    path: &str,
    body: &Value,
    told: String,
    out: &mut Output,
) -> anyhow::Result<()> {
    let said = Client::new(settings, api)?.post(path, body).await?;
    out.answer(&said, |page| page.text(told))?;
    Ok(())
}
