//! `upshot retry`, `cancel`, `reschedule` and `prioritise`: change one job through the API.

use std::{
    fmt::Write,
    io::{IsTerminal, Read},
    path::Path,
};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use upshot_runtime::Settings;

use super::{
    client::{Answered, Client},
    value::{list, text},
};
use crate::{
    arguments::{Cancel, Prioritise, Reschedule, Retry},
    output::{Output, note},
};

/// Makes a dead job run again.
pub async fn retry(settings: &Settings, retry: &Retry, out: &mut Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Body {
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<Box<RawValue>>,
        // An API of an earlier version does not know this field.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        repeat_steps: Vec<String>,
    }
    let args = retry.args.as_deref().map(arguments).transpose()?;
    let mut body = Body { args, repeat_steps: Vec::new() };
    let path = format!("/v1/jobs/{}/retry", retry.id);
    let client = Client::new(settings, &retry.api)?;
    let answer = match client.post(&path, &body).await {
        Ok(answer) => answer,
        Err(refused) => {
            let Some(steps) = steps_of(&refused) else { return Err(refused) };
            if !retry.yes {
                agree(retry, &steps)?;
            }
            body.repeat_steps = steps.iter().map(|step| text(step, "name")).collect();
            client.post(&path, &body).await?
        }
    };
    let how = if body.args.is_some() { " with other arguments" } else { "" };
    let repeats: Vec<&str> = list(&answer, "repeats").filter_map(Value::as_str).collect();
    let again = match repeats.as_slice() {
        [] => String::new(),
        steps => format!("; these steps run again: {}", steps.join(", ")),
    };
    out.answer(&answer, |page| page.text(format!("job {} is ready to run again{how}{again}", retry.id)))?;
    Ok(())
}

/// The completed steps that the API asks to agree to repeat.
fn steps_of(error: &anyhow::Error) -> Option<Vec<Value>> {
    let answered = error.downcast_ref::<Answered>()?;
    let asks = answered.code() == Some("steps-completed");
    asks.then(|| list(&answered.problem, "steps").cloned().collect())
}

/// Shows what the steps did, and asks whether they may run again.
fn agree(retry: &Retry, steps: &[Value]) -> anyhow::Result<()> {
    let id = &retry.id;
    let mut shown = format!(
        "job {id} has completed steps. With other arguments they run again, and their effects happen twice:"
    );
    for step in steps {
        let result = step.get("result").map(ToString::to_string).unwrap_or_default();
        let _ = write!(shown, "\n{} at {}: {result}", text(step, "name"), text(step, "completed_at"));
    }
    note(shown);
    let from_stdin = retry.args.as_deref() == Some(Path::new("-"));
    if from_stdin || !std::io::stdin().is_terminal() {
        bail!(
            "job {id} stays as it was, because no terminal is there to ask at: add --yes to let these steps run again"
        );
    }
    note("Let them run again? [y/N]");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("standard input cannot be read")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { bail!("job {id} stays as it was") }
}

/// Cancels a job.
pub async fn cancel(settings: &Settings, cancel: &Cancel, out: &mut Output) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/cancel", cancel.id);
    let said = Client::new(settings, &cancel.api)?.post(&path, &json!({})).await?;
    let id = &cancel.id;
    let told = match said.get("result").and_then(Value::as_str) {
        Some("stopping") => {
            format!("job {id} runs; its handler was told to stop: see `upshot job {id} --follow`")
        }
        _ => format!("job {id} is cancelled"),
    };
    out.answer(&said, |page| page.text(told))?;
    Ok(())
}

/// Lets a waiting job run at another time.
pub async fn reschedule(
    settings: &Settings,
    reschedule: &Reschedule,
    out: &mut Output,
) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/reschedule", reschedule.id);
    let body = json!({"delay": reschedule.delay});
    let job = Client::new(settings, &reschedule.api)?.post(&path, &body).await?;
    let told = match job.get("waiting_for").filter(|waiting| waiting.is_object()) {
        Some(waiting) => format!("job {} runs at {}", reschedule.id, text(waiting, "retry_at")),
        None => format!("job {} is {}", reschedule.id, text(&job, "state")),
    };
    out.answer(&job, |page| page.text(told))?;
    Ok(())
}

/// Gives a waiting job another priority.
pub async fn prioritise(
    settings: &Settings,
    prioritise: &Prioritise,
    out: &mut Output,
) -> anyhow::Result<()> {
    let path = format!("/v1/jobs/{}/priority", prioritise.id);
    let body = json!({"priority": prioritise.priority});
    let job = Client::new(settings, &prioritise.api)?.post(&path, &body).await?;
    out.answer(&job, |page| {
        page.text(format!("job {} has priority {}", prioritise.id, prioritise.priority))
    })?;
    Ok(())
}

/// The arguments in a file, exactly as written.
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
    serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON: write the arguments as JSON"))
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
