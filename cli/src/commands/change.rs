//! `upshot retry`, `cancel`, `reschedule` and `prioritise`: what people do to
//! one job, through the API.

use std::{io::Read, path::Path};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use upshot_shared::Settings;

use super::{client::Client, table::text};
use crate::arguments::{Cancel, Prioritise, Reschedule, Retry};

/// Makes a dead job run again.
pub async fn retry(settings: &Settings, retry: &Retry) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Body {
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<Box<RawValue>>,
    }
    let body = Body { args: retry.args.as_deref().map(arguments).transpose()? };
    let path = format!("/v1/jobs/{}/retry", retry.id);
    Client::new(settings, &retry.api)?.post(&path, &body).await?;
    let how = if body.args.is_some() { " with other arguments" } else { "" };
    println!("job {} is ready to run again{how}", retry.id);
    Ok(())
}

/// Cancels a job.
pub async fn cancel(settings: &Settings, cancel: &Cancel) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/cancel", cancel.id);
    let said = Client::new(settings, &cancel.api)?.post(&path, &json!({})).await?;
    match said.get("result").and_then(Value::as_str) {
        Some("stopping") => {
            println!("job {} runs; its handler was told to stop: see `upshot job {0} --follow`", cancel.id);
        }
        _ => println!("job {} is cancelled", cancel.id),
    }
    Ok(())
}

/// Lets a waiting job run at another time.
pub async fn reschedule(settings: &Settings, reschedule: &Reschedule) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/reschedule", reschedule.id);
    let body = json!({"delay": reschedule.delay});
    let job = Client::new(settings, &reschedule.api)?.post(&path, &body).await?;
    match job.get("waiting_for").filter(|waiting| waiting.is_object()) {
        Some(waiting) => println!("job {} runs at {}", reschedule.id, text(waiting, "retry_at")),
        None => println!("job {} is {}", reschedule.id, text(&job, "state")),
    }
    Ok(())
}

/// Gives a waiting job another priority.
pub async fn prioritise(settings: &Settings, prioritise: &Prioritise) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/priority", prioritise.id);
    let body = json!({"priority": prioritise.priority});
    Client::new(settings, &prioritise.api)?.post(&path, &body).await?;
    println!("job {} has priority {}", prioritise.id, prioritise.priority);
    Ok(())
}

/// Arguments out of a file, as they are written there.
fn arguments(file: &Path) -> anyhow::Result<Box<RawValue>> {
    let mut text = String::new();
    let shown = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        "standard input".to_owned()
    } else {
        let shown = file.display().to_string();
        text = std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
        shown
    };
    serde_json::from_str(&text).with_context(|| format!("{shown} holds no JSON: write the arguments as JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stay_as_they_are_written() {
        let file = std::env::temp_dir().join(format!("upshot-args-{}.json", std::process::id()));
        std::fs::write(&file, " {\"amount\": 1.10} ").unwrap();
        assert_eq!(arguments(&file).unwrap().get(), "{\"amount\": 1.10}");
        std::fs::write(&file, "{amount}").unwrap();
        let said = format!("{:#}", arguments(&file).unwrap_err());
        assert!(said.contains("upshot-args") && said.contains("as JSON"), "{said}");
        std::fs::remove_file(&file).unwrap();
        assert!(format!("{:#}", arguments(&file).unwrap_err()).contains("cannot be read"));
    }
}
