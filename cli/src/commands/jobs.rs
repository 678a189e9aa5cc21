//! `upshot jobs`, `upshot job` and `upshot retry`: jobs, through the API.

use anyhow::{Context, bail};
use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use upshot_shared::Settings;

use crate::{
    arguments::{ApiAddress, Job, Jobs, Retry},
    running::Running,
};

/// Where the API is.
fn base(settings: &Settings, given: &ApiAddress) -> String {
    let known = given.api.clone().or_else(|| Running::read(settings).map(|running| running.api));
    known.unwrap_or_else(|| format!("http://{}", settings.api.listen)).trim_end_matches('/').to_owned()
}

async fn get(url: &str, query: &[(&str, String)]) -> anyhow::Result<Response> {
    send(url, Client::new().get(url).query(query)).await
}

async fn send(url: &str, request: RequestBuilder) -> anyhow::Result<Response> {
    let sent = request.send().await;
    let answer =
        sent.with_context(|| format!("no API at {url}: start `upshot up`, or name it with --api"))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap_or_default();
    let detail = problem.get("detail").or_else(|| problem.get("title")).and_then(Value::as_str);
    bail!("{status}: {}", detail.unwrap_or("the API gave no reason"))
}

/// Prints a table of jobs.
pub async fn list(settings: &Settings, jobs: &Jobs) -> anyhow::Result<()> {
    let mut query = vec![("limit", jobs.limit.to_string())];
    let filters = [
        ("state", &jobs.state),
        ("queue", &jobs.queue),
        ("kind", &jobs.kind),
        ("tenant", &jobs.tenant),
        ("subject", &jobs.subject),
    ];
    query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let page: Value = get(&format!("{}/v1/jobs", base(settings, &jobs.api)), &query).await?.json().await?;
    println!("{:<26}  {:<10}  {:<16}  {:<20}  {:>8}  SINCE", "JOB", "STATE", "KIND", "SUBJECT", "ATTEMPTS");
    let text = |job: &Value, name: &str| match job.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    for job in page.get("jobs").and_then(Value::as_array).into_iter().flatten() {
        println!(
            "{:<26}  {:<10}  {:<16}  {:<20}  {:>8}  {}",
            text(job, "id"),
            text(job, "state"),
            text(job, "kind"),
            text(job, "subject"),
            text(job, "attempts"),
            text(job, "since")
        );
    }
    if page.get("next").is_some_and(|next| !next.is_null()) {
        println!("… there are more; raise --limit or narrow the filters");
    }
    Ok(())
}

/// Prints one job, or its changes until it has ended.
pub async fn show(settings: &Settings, job: &Job) -> anyhow::Result<()> {
    let url = format!("{}/v1/jobs/{}", base(settings, &job.api), job.id);
    if !job.follow {
        let body: Value = get(&url, &[]).await?.json().await?;
        println!("{}", serde_json::to_string_pretty(&body)?);
        return Ok(());
    }
    let mut stream = get(&format!("{url}/progress"), &[]).await?.bytes_stream();
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk?));
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            if let Some(data) = line.strip_prefix("data:") {
                println!("{}", data.trim());
            }
        }
    }
    Ok(())
}

/// Makes a dead job run again.
pub async fn retry(settings: &Settings, retry: &Retry) -> anyhow::Result<()> {
    let url = format!("{}/v1/jobs/{}/retry", base(settings, &retry.api), retry.id);
    send(&url, Client::new().post(&url).header("content-type", "application/json")).await?;
    println!("job {} is ready to run again", retry.id);
    Ok(())
}
