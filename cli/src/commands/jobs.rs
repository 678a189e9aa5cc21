//! `upshot jobs` and `upshot job`: jobs, through the API.

use futures::StreamExt;
use upshot_shared::Settings;

use super::{
    client::Client,
    table::{self, list as members, text},
    timeline,
};
use crate::arguments::{Job, Jobs};

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
    let page = Client::new(settings, &jobs.api)?.read("/v1/jobs", &query).await?;
    let rows: Vec<_> = members(&page, "jobs")
        .map(|job| {
            ["id", "state", "priority", "kind", "subject", "attempts", "since"].map(|name| text(job, name))
        })
        .collect();
    table::print(["JOB", "STATE", "PRIORITY", "KIND", "SUBJECT", "ATTEMPTS", "SINCE"], &rows);
    if page.get("next").is_some_and(|next| !next.is_null()) {
        println!("… there are more; raise --limit or narrow the filters");
    }
    Ok(())
}

/// Prints one job, what happened to it, or its changes until it has ended.
pub async fn show(settings: &Settings, job: &Job) -> anyhow::Result<()> {
    let client = Client::new(settings, &job.api)?;
    let path = format!("/v1/jobs/{}", job.id);
    if !job.follow {
        let body = client.read(&path, &[]).await?;
        if job.timeline {
            timeline::lines(&body).iter().for_each(|line| println!("{line}"));
        } else {
            println!("{}", serde_json::to_string_pretty(&body)?);
        }
        return Ok(());
    }
    let mut stream = client.get(&format!("{path}/progress"), &[]).await?.bytes_stream();
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
