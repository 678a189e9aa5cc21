//! `upshot jobs` and `upshot job`: show jobs through the API.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use upshot_runtime::Settings;

use super::{
    client::Client,
    follow, job_page,
    pages::List,
    timeline,
    value::{age, list as members, text},
};
use crate::{
    arguments::{Job, Jobs},
    output::{Output, Table},
};

const LIST: List = List { path: "/v1/jobs", entries: "jobs", cursor: "cursor" };
const HEADINGS: [&str; 6] = ["JOB", "STATE", "KIND", "SUBJECT", "TRY", "FOR"];

/// Prints a table of jobs.
pub async fn list(settings: &Settings, jobs: &Jobs, out: &mut Output) -> anyhow::Result<()> {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let filters = [
        ("state", jobs.state.map(|state| state.to_string())),
        ("queue", jobs.queue.as_ref().map(ToString::to_string)),
        ("kind", jobs.kind.clone()),
        ("tenant", jobs.tenant.clone()),
        ("subject", jobs.subject.clone()),
        ("subject_prefix", jobs.subject_prefix.clone()),
        ("route", jobs.route.clone()),
        ("class", jobs.class.map(|class| class.as_str().to_owned())),
        ("since", jobs.since.map(time)),
        ("until", jobs.until.map(time)),
        ("trace", jobs.trace.as_ref().map(ToString::to_string)),
        ("group", jobs.group.clone()),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let client = Client::new(settings, &jobs.api)?;
    let mut table = table();
    let show = |found: &[Value]| {
        let now = Utc::now();
        let rows: Vec<_> = found.iter().map(|job| row(job, now)).collect();
        Ok(out.items(found, |page| page.table(&mut table, &rows))?)
    };
    LIST.follow(&client, &query, &jobs.paging, show).await
}

/// The table of jobs.
pub(super) fn table() -> Table<6> {
    let mut table = Table::new(HEADINGS);
    table.wrapping(&[2, 3]);
    table
}

/// A job in it.
pub(super) fn row(job: &Value, now: DateTime<Utc>) -> [String; 6] {
    let [id, state, kind, subject, attempts] =
        ["id", "state", "kind", "subject", "attempts"].map(|name| text(job, name));
    [id, state, kind, subject, attempts, age(job, "since", now)]
}

/// Prints one job, its timeline, or its changes until it has ended.
pub async fn show(settings: &Settings, job: &Job, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &job.api)?;
    if job.follow {
        return follow::run(&client, &job.id, out).await;
    }
    let asked = [("args", job.args), ("reveal", job.reveal)].into_iter().filter(|(_, is_asked)| *is_asked);
    let query: Vec<_> = asked.map(|(name, yes)| (name, yes.to_string())).collect();
    let body = client.read(&format!("/v1/jobs/{}", job.id), &query).await?;
    if job.timeline {
        let entries: Vec<&Value> = members(&body, "timeline").collect();
        let rows: Vec<_> = entries.iter().map(|entry| timeline::row(entry)).collect();
        out.items(&entries, |page| page.table(Table::bare().wrapping(&[2]), &rows))?;
    } else {
        out.answer(&body, |page| job_page::print(page, &body, Utc::now()))?;
    }
    Ok(())
}
