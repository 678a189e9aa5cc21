//! `upshot operation`: acts on many jobs, through the API.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use upshot_runtime::Settings;

use super::{
    client::Client,
    pages::List,
    value::{age, has, list as members, optional, part, text, when},
};
use crate::{
    arguments::{OperationCommand, OperationCreate, OperationList, OperationShow},
    output::{Output, Page, Table, note},
};

const LIST: List = List { path: "/v1/operations", entries: "operations", cursor: "cursor" };
const HEADINGS: [&str; 6] = ["OPERATION", "STATE", "ACT", "QUEUE", "CHANGED", "AGE"];
/// How often an operation is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Creates, lists, shows or steers operations.
pub async fn run(settings: &Settings, what: &OperationCommand, out: &mut Output) -> anyhow::Result<()> {
    match what {
        OperationCommand::Create(create) => self::create(settings, create, out).await,
        OperationCommand::List(list) => self::list(settings, list, out).await,
        OperationCommand::Show(show) => self::show(settings, show, out).await,
        OperationCommand::Start(start) => {
            let body = json!({"confirm": start.confirm, "by": start.by.by});
            let said =
                steer(&Client::new(settings, &start.api)?, start.id.as_str(), "start", &body, out).await;
            said.map(|()| {
                note(format_args!("upshot operation show {} --follow shows its progress", start.id))
            })
        }
        OperationCommand::Pause(which) => {
            let body = json!({"by": which.by.by});
            steer(&Client::new(settings, &which.api)?, which.id.as_str(), "pause", &body, out).await
        }
        OperationCommand::Resume(which) => {
            let body = json!({"by": which.by.by});
            steer(&Client::new(settings, &which.api)?, which.id.as_str(), "resume", &body, out).await
        }
        OperationCommand::Abort(which) => {
            let body = json!({"by": which.by.by});
            steer(&Client::new(settings, &which.api)?, which.id.as_str(), "abort", &body, out).await
        }
    }
}

/// Creates an operation, and shows what it counted once it has.
async fn create(settings: &Settings, create: &OperationCreate, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &create.api)?;
    let mut operation = client.post("/v1/operations", &body(create)).await?;
    while text(&operation, "state") == "counting" {
        tokio::time::sleep(LOOK).await;
        operation = read(&client, &text(&operation, "id")).await?;
    }
    out.answer(&operation, |page| print(page, &operation, Utc::now()))?;
    if text(&operation, "state") == "counted" {
        let (id, jobs) = (text(&operation, "id"), text(part(&operation, "counted"), "jobs"));
        note(format_args!("nothing is changed yet: upshot operation start {id} --confirm {jobs}"));
    }
    Ok(())
}

/// What the API is asked to make. A field that is left out has the API's own default.
fn body(create: &OperationCreate) -> Value {
    let mut filter = Map::new();
    let time = |time: &DateTime<Utc>| json!(time);
    let members = [
        ("state", create.state.map(|state| json!(state))),
        ("outcome", create.outcome.as_ref().map(|outcome| json!(outcome))),
        ("ids", Some(json!(create.id)).filter(|_| !create.id.is_empty())),
        ("group", create.group.as_ref().map(|group| json!(group))),
        ("condition", create.condition.as_ref().map(|condition| json!(condition))),
        ("kind", create.kind.as_ref().map(|kind| json!(kind))),
        ("tenant", create.tenant.as_ref().map(|tenant| json!(tenant))),
        ("route", create.route.as_ref().map(|route| json!(route))),
        ("from", create.since.as_ref().map(time)),
        ("until", create.until.as_ref().map(time)),
    ];
    filter.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let act = create.act.to_possible_value().map(|act| act.get_name().to_owned());
    let mut body = Map::new();
    let members = [
        ("queue", Some(json!(create.queue))),
        ("act", Some(json!(act))),
        ("filter", Some(Value::Object(filter))),
        ("by", Some(json!(create.by.by))),
        ("reason", create.reason.as_ref().map(|reason| json!(reason))),
        ("pace", create.pace.as_ref().map(|pace| json!(pace))),
        ("stop_rule", create.same_cause.map(|jobs| json!({ "same_cause": jobs }))),
        ("delay", create.delay.as_ref().map(|delay| json!(delay))),
        ("at", create.at.as_ref().map(time)),
        ("priority", create.priority.map(|priority| json!(priority))),
        ("dry_run", create.now.then_some(json!(false))),
    ];
    body.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(body)
}

async fn list(settings: &Settings, list: &OperationList, out: &mut Output) -> anyhow::Result<()> {
    let filters = [
        ("queue", list.queue.as_ref().map(ToString::to_string)),
        ("state", list.state.map(|state| state.to_string())),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let client = Client::new(settings, &list.api)?;
    let mut table = table();
    let show = |found: &[Value]| {
        let now = Utc::now();
        let rows: Vec<_> = found.iter().map(|operation| row(operation, now)).collect();
        Ok(out.items(found, |page| page.table(&mut table, &rows))?)
    };
    LIST.follow(&client, &query, &list.paging, show).await
}

/// The table of operations.
pub(super) fn table() -> Table<6> {
    let mut table = Table::new(HEADINGS);
    table.wrapping(&[3]);
    table
}

/// An operation in it.
pub(super) fn row(operation: &Value, now: DateTime<Utc>) -> [String; 6] {
    let [id, state, act, queue, changed] =
        ["id", "state", "act", "queue", "changed"].map(|name| text(operation, name));
    [id, state, act, queue, changed, age(operation, "created_at", now)]
}

async fn show(settings: &Settings, show: &OperationShow, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &show.api)?;
    if show.refusals {
        let said = client.read(&format!("/v1/operations/{}/refusals", show.id), &[]).await?;
        let refusals: Vec<&Value> = members(&said, "refusals").collect();
        let rows: Vec<_> =
            refusals.iter().map(|refusal| ["job", "reason"].map(|name| text(refusal, name))).collect();
        out.answer(&said, |page| {
            if rows.is_empty() {
                page.line("no job was refused");
            }
            page.table(&mut Table::bare(), &rows);
        })?;
        return Ok(());
    }
    let mut operation = read(&client, show.id.as_str()).await?;
    if !show.follow {
        out.answer(&operation, |page| print(page, &operation, Utc::now()))?;
        return Ok(());
    }
    let mut last = None;
    loop {
        let now = told(&operation);
        if last.as_ref() != Some(&now) {
            out.item(&operation, |page| page.text(now.clone()))?;
            last = Some(now);
        }
        if !["counting", "running"].contains(&text(&operation, "state").as_str()) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        operation = read(&client, show.id.as_str()).await?;
    }
}

/// The progress of an operation in a line.
pub(super) fn told(operation: &Value) -> String {
    let [id, state, changed, refused, again] =
        ["id", "state", "changed", "refused", "failed_again"].map(|name| text(operation, name));
    let left =
        if has(operation, "left") { format!(", {} left", text(operation, "left")) } else { String::new() };
    format!("operation {id} is {state}: {changed} changed, {refused} refused{left}, {again} failed again")
}

/// Prints an operation.
pub(super) fn print(page: &mut Page, operation: &Value, now: DateTime<Utc>) {
    page.text(told(operation));
    let details: Vec<String> = part(operation, "details")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!(" {name} {}", value.as_str().unwrap_or_default()))
        .collect();
    let filter: Vec<String> = part(operation, "filter")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        })
        .collect();
    let stopped = part(operation, "stopped_by");
    let stopped = if stopped.is_null() {
        String::new()
    } else {
        format!("{} jobs failed of group {} again", text(stopped, "jobs"), text(stopped, "group"))
    };
    let gone = optional(operation, "gone");
    let gone = if gone == "0" { String::new() } else { gone };
    let pairs: Vec<(&str, String)> = [
        (
            "act",
            format!("{}{} in queue {}", text(operation, "act"), details.concat(), text(operation, "queue")),
        ),
        ("jobs", filter.join(", ")),
        ("reason", optional(operation, "reason")),
        ("by", text(operation, "by")),
        ("created", when(operation, "created_at", now)),
        ("started", when(operation, "started_at", now)),
        ("ended", when(operation, "ended_at", now)),
        (
            "rate",
            if has(operation, "rate") {
                format!("{} a second", text(operation, "rate"))
            } else {
                String::new()
            },
        ),
        ("left since the count", gone),
        ("stopped because", stopped),
        ("failed because", optional(operation, "why")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect();
    page.pairs(&pairs);
    let counted = part(operation, "counted");
    if counted.is_null() {
        return;
    }
    page.line("");
    page.text(format!(
        "a dry run counted {} jobs, and {} more to refuse",
        text(counted, "jobs"),
        text(counted, "refused")
    ));
    let mut rows: Vec<[String; 2]> = members(counted, "tenants")
        .map(|row| [text(row, "jobs"), format!("of tenant {}", text(row, "tenant"))])
        .collect();
    rows.extend(members(counted, "causes").map(|row| {
        let [jobs, group, class, message] = ["jobs", "group", "class", "message"].map(|name| text(row, name));
        [jobs, format!("of group {group} ({class}): {message}")]
    }));
    for (name, what) in
        [("other_tenants", "of other tenants"), ("other_causes", "without a cause, or of other causes")]
    {
        let jobs = text(counted, name);
        if jobs != "0" && jobs != "-" {
            rows.push([jobs, what.to_owned()]);
        }
    }
    let reasons = part(counted, "reasons").as_object().into_iter().flatten();
    rows.extend(reasons.map(|(reason, jobs)| [jobs.to_string(), format!("refused: {reason}")]));
    page.table(Table::bare().wrapping(&[1]), &rows);
}

async fn read(client: &Client, id: &str) -> anyhow::Result<Value> {
    client.read(&format!("/v1/operations/{id}"), &[]).await
}

async fn steer(client: &Client, id: &str, verb: &str, body: &Value, out: &mut Output) -> anyhow::Result<()> {
    let said = client.post(&format!("/v1/operations/{id}/{verb}"), body).await?;
    out.answer(&said, |page| page.text(told(&said)))?;
    Ok(())
}
