//! `upshot schedule`: lists, makes, pauses, runs and removes schedules, and applies those of a settings file.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use upshot_queue::QueueName;
use upshot_runtime::{Settings, settings::Program};
use upshot_shared::Schedule;

use super::{
    client::Client,
    value::{age, away, has, list, optional, part, text, time},
};
use crate::{
    arguments::{ScheduleApply, ScheduleCommand, ScheduleCreate, ScheduleName},
    exit::Exit,
    output::{Output, Page, Table},
};

/// Runs a command.
pub async fn run(
    program: &Program,
    settings: &Settings,
    what: &ScheduleCommand,
    out: &mut Output,
) -> anyhow::Result<()> {
    match what {
        ScheduleCommand::List(asked) => {
            let client = Client::new(settings, &asked.api)?;
            let queue = asked.queue.as_ref().map(|queue| ("queue", queue.to_string()));
            let said = client.read("/v1/schedules", queue.as_slice()).await?;
            Ok(out.answer(&said, |page| print_list(page, &said, Utc::now()))?)
        }
        ScheduleCommand::Show(asked) => {
            let client = Client::new(settings, &asked.api)?;
            let reveal = asked.reveal.then(|| ("reveal", "true".to_owned()));
            let said = client.read(&path(&asked.queue, &asked.name), reveal.as_slice()).await?;
            Ok(out.answer(&said, |page| print(page, &said, Utc::now()))?)
        }
        ScheduleCommand::Create(create) => self::create(settings, create, out).await,
        ScheduleCommand::Pause(of) => change(settings, of, "pause", "is paused", out).await,
        ScheduleCommand::Resume(of) => change(settings, of, "resume", "is due again", out).await,
        ScheduleCommand::Run(of) => {
            let client = Client::new(settings, &of.api)?;
            let said = client.post(&format!("{}/run", path(&of.queue, &of.name)), &json!({})).await?;
            Ok(out
                .answer(&said, |page| page.text(format!("{} runs as job {}", of.name, text(&said, "job"))))?)
        }
        ScheduleCommand::Delete(of) => {
            let client = Client::new(settings, &of.api)?;
            let said = client.delete(&path(&of.queue, &of.name), &[]).await?;
            Ok(out.answer(&said, |page| page.text(format!("{} is removed; its jobs stay", of.name)))?)
        }
        ScheduleCommand::Apply(apply) => self::apply(program, settings, apply, out).await,
    }
}

async fn create(settings: &Settings, create: &ScheduleCreate, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &create.api)?;
    let ScheduleCreate { queue, name, job, cron, zone, every, args, tenant, subject, within, .. } = create;
    let mut body = json!({
        "queue": queue, "name": name, "job": job, "version": create.args_version, "arguments": args,
        "priority": create.priority, "catch_up": create.catch_up, "catch_up_most": create.catch_up_most,
        "jitter": create.jitter,
    });
    let optional = [
        ("cron", cron),
        ("zone", zone),
        ("every", every),
        ("tenant", tenant),
        ("subject", subject),
        ("within", within),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    let said = if create.replace {
        client.put(&path(queue, name), &body).await?
    } else {
        client.post("/v1/schedules", &body).await?
    };
    Ok(out.answer(&said, |page| print(page, &said, Utc::now()))?)
}

async fn change(
    settings: &Settings,
    of: &ScheduleName,
    what: &str,
    done: &str,
    out: &mut Output,
) -> anyhow::Result<()> {
    let client = Client::new(settings, &of.api)?;
    let said = client.post(&format!("{}/{what}", path(&of.queue, &of.name)), &json!({})).await?;
    Ok(out.answer(&said, |page| {
        let next = list(&said, "next").next().map(|due| format!(", next at {}", text(due, "local")));
        page.text(format!("{} {done}{}", of.name, next.unwrap_or_default()));
    })?)
}

async fn apply(
    program: &Program,
    settings: &Settings,
    apply: &ScheduleApply,
    out: &mut Output,
) -> anyhow::Result<()> {
    let client = Client::new(settings, &apply.api)?;
    let there = client.read("/v1/schedules", &[]).await?;
    let stored = |queue: &QueueName| {
        let set = list(&there, "sets").find(|set| text(set, "queue") == queue.as_str());
        set.and_then(|set| set.get("version")?.as_u64()).unwrap_or(0)
    };
    for (queue, schedules) in of_file(program, &apply.file, apply.queue.as_ref())? {
        let version = stored(&queue);
        // A queue that never had any needs no version.
        if schedules.is_empty() && version == 0 {
            continue;
        }
        let body = json!({
            "schedules": schedules, "expect_version": apply.expect_version.unwrap_or(version),
        });
        let said = client.put(&format!("/v1/schedules/{queue}"), &body).await?;
        out.item(&said, |page| {
            let now = list(&said, "sets").next().map(|set| text(set, "version")).unwrap_or_default();
            page.text(format!("{queue}: version {now} of the schedules of settings is in force"));
            print_list(page, &said, Utc::now());
        })?;
    }
    Ok(())
}

/// The schedules in a settings file, by queue.
fn of_file(
    program: &Program,
    file: &Path,
    queue: Option<&QueueName>,
) -> anyhow::Result<BTreeMap<QueueName, Vec<Schedule>>> {
    let settings = Settings::load(program, Some(file), [])?;
    let queues = settings.queues.keys().filter(|name| queue.is_none_or(|queue| queue == *name));
    let found: BTreeMap<_, _> = queues.map(|name| (name.clone(), settings.schedules_of(name))).collect();
    if let (true, Some(queue)) = (found.is_empty(), queue) {
        let why = format!("{} has no queue {queue}: add a [[schedules]] with it", file.display());
        return Err(Exit::NotFound.because(why));
    }
    Ok(found)
}

/// The address of a schedule. The name goes into it as it is typed; what is no name is no schedule.
fn path(queue: &QueueName, name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/v1/schedules/{queue}/{}", name.replace('+', "%20"))
}

/// A row for each schedule, and below what keeps some from running.
pub(super) fn print_list(page: &mut Page, said: &Value, now: DateTime<Utc>) {
    for set in list(said, "sets") {
        let names: Vec<String> =
            list(set, "not_stored").filter_map(|name| name.as_str()).map(str::to_owned).collect();
        if !names.is_empty() {
            let (queue, names) = (text(set, "queue"), names.join(", "));
            page.text(format!(
                "not_stored: {names} of the settings of queue {queue}: no executor that works on the queue stored them, or somebody \
                 made one of the same name; start one, or remove that one and `upshot schedule apply`"
            ));
        }
    }
    let rows: Vec<_> = list(said, "schedules").map(|schedule| row(schedule, now)).collect();
    if rows.is_empty() {
        page.text(
            "there are no schedules: write [[schedules]] into the settings, or `upshot schedule create`",
        );
        return;
    }
    let headings = ["SCHEDULE", "QUEUE", "DUE", "NEXT", "LAST", "CAME OUT", "MISSED"];
    page.table(Table::new(headings).wrapping(&[0, 2]), &rows);
    for schedule in list(said, "schedules") {
        troubles(page, schedule);
    }
}

fn row(schedule: &Value, now: DateTime<Utc>) -> [String; 7] {
    let next = match list(schedule, "next").next() {
        Some(due) => away(due, "starts_at", now),
        None if has(schedule, "paused") => "paused".to_owned(),
        None => "-".to_owned(),
    };
    let last = part(schedule, "last");
    let at = if has(last, "at") { away(last, "at", now) } else { "-".to_owned() };
    [
        text(schedule, "name"),
        text(schedule, "queue"),
        text(schedule, "words"),
        next,
        at,
        came_out(last),
        text(schedule, "missed"),
    ]
}

/// How the last run came out: its outcome where one is expected, else the state of its job.
fn came_out(last: &Value) -> String {
    match () {
        () if has(last, "outcome") => text(last, "outcome"),
        () if has(last, "state") => text(last, "state"),
        () if has(last, "job") => "forgotten".to_owned(),
        () => "-".to_owned(),
    }
}

fn troubles(page: &mut Page, schedule: &Value) {
    for trouble in list(schedule, "troubles") {
        page.text(format!("! {}: {}", text(schedule, "name"), text(trouble, "words")));
    }
}

/// One schedule.
pub(super) fn print(page: &mut Page, schedule: &Value, now: DateTime<Utc>) {
    let definition = part(schedule, "definition");
    let origin = match text(schedule, "origin").as_str() {
        "settings" => "from settings, stored by".to_owned(),
        _ => "made by".to_owned(),
    };
    let when = [optional(definition, "cron"), optional(definition, "every")].concat();
    let mut facts = vec![
        ["queue".to_owned(), text(schedule, "queue")],
        ["job".to_owned(), format!("{} version {}", text(definition, "job"), text(definition, "version"))],
        ["due".to_owned(), format!("{} ({when})", text(schedule, "words"))],
        ["origin".to_owned(), format!("{origin} {}, {}", text(schedule, "by"), time(schedule, "changed_at"))],
        ["runs".to_owned(), format!("{}, {} missed", text(schedule, "runs"), text(schedule, "missed"))],
        [
            "catch up".to_owned(),
            format!("{}, {} at most", text(definition, "catch_up"), text(definition, "catch_up_most")),
        ],
    ];
    for key in ["tenant", "subject", "within", "jitter", "arguments"] {
        if has(definition, key) {
            facts.push([key.to_owned(), text(definition, key)]);
        }
    }
    if has(schedule, "paused") {
        let paused = part(schedule, "paused");
        facts
            .push(["paused".to_owned(), format!("for {} by {}", age(paused, "at", now), text(paused, "by"))]);
    }
    let last = part(schedule, "last");
    if has(last, "job") {
        let why = if has(last, "due") { format!("due {}", time(last, "due")) } else { "by hand".to_owned() };
        facts.push(["last".to_owned(), format!("{} ({why}): {}", text(last, "job"), came_out(last))]);
    }
    page.text(text(schedule, "name"));
    page.table(Table::bare().indented().wrapping(&[1]), &facts);
    let due: Vec<_> = list(schedule, "next")
        .map(|due| [text(due, "local"), away(due, "starts_at", now), mark(due)])
        .collect();
    if !due.is_empty() {
        page.text("next");
        page.table(Table::bare().indented().wrapping(&[2]), &due);
    }
    troubles(page, schedule);
}

/// What the clocks do to a due time.
fn mark(due: &Value) -> String {
    let words = match text(due, "mark").as_str() {
        "after_gap" => "! its local time does not exist, and it runs right after the gap",
        "first_of_two" => "! its local time exists twice, and this is the first one",
        "second_of_two" => "! its local time exists twice, and this is the second one",
        _ => "",
    };
    match due.get("skipped").and_then(Value::as_u64).unwrap_or(0) {
        0 => words.to_owned(),
        n => format!("{words}! {n} local times before it do not exist"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_part_of_an_address() {
        let queue = "reports".parse().unwrap();
        assert_eq!(path(&queue, "nightly-report"), "/v1/schedules/reports/nightly-report");
        assert_eq!(path(&queue, "a/b ?c"), "/v1/schedules/reports/a%2Fb%20%3Fc");
    }

    #[test]
    fn the_last_run_tells_its_outcome_before_its_state() {
        assert_eq!(came_out(&json!({"job": "j", "state": "dead", "outcome": "missed"})), "missed");
        assert_eq!(came_out(&json!({"job": "j", "state": "running", "outcome": null})), "running");
        assert_eq!(came_out(&json!({"job": "j", "state": null})), "forgotten");
        assert_eq!(came_out(&Value::Null), "-");
    }
}
