//! `upshot config`: shows, compares and applies the configuration of queues through the API.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use upshot_queue::{Configuration, Difference, QueueName};
use upshot_runtime::{Settings, settings::Program};

use super::{
    client::Client,
    value::{list, part, text, time},
};
use crate::{
    arguments::{ConfigApply, ConfigCommand, ConfigDiff, ConfigShow},
    output::{Output, Page, Table},
};

/// Shows, compares or applies.
pub async fn run(
    program: &Program,
    settings: &Settings,
    what: &ConfigCommand,
    out: &mut Output,
) -> anyhow::Result<()> {
    match what {
        ConfigCommand::Show(show) => self::show(settings, show, out).await,
        ConfigCommand::Diff(diff) => self::diff(program, settings, diff, out).await,
        ConfigCommand::Apply(apply) => self::apply(program, settings, apply, out).await,
    }
}

async fn show(settings: &Settings, show: &ConfigShow, out: &mut Output) -> anyhow::Result<()> {
    let client = Client::new(settings, &show.api)?;
    if let Some(queue) = &show.queue {
        let version = show.version.map(|version| ("version", version.to_string()));
        let said = client.read(&path(queue), version.as_slice()).await?;
        return Ok(out.answer(&said, |page| shown(page, &said))?);
    }
    let queues = client.read("/v1/queues", &[]).await?;
    for queue in list(&queues, "queues") {
        let said = client.read(&path(&text(queue, "name").parse()?), &[]).await?;
        out.item(&said, |page| shown(page, &said))?;
    }
    Ok(())
}

async fn diff(
    program: &Program,
    settings: &Settings,
    diff: &ConfigDiff,
    out: &mut Output,
) -> anyhow::Result<()> {
    let client = Client::new(settings, &diff.api)?;
    for (queue, wanted) in of_file(program, &diff.file, diff.queue.as_ref())? {
        let there = There::read(&client, &queue).await?;
        let differences = there.differences(&wanted);
        let value = json!({"queue": queue, "version": there.version, "differences": differences});
        out.item(&value, |page| {
            let version = there.version;
            match differences.len() {
                0 => page.text(format!("{queue}: the file equals version {version}")),
                n => page.text(format!("{queue}: the file differs from version {version} in {n} values")),
            }
            changes(page, &differences);
        })?;
    }
    Ok(())
}

async fn apply(
    program: &Program,
    settings: &Settings,
    apply: &ConfigApply,
    out: &mut Output,
) -> anyhow::Result<()> {
    let client = Client::new(settings, &apply.api)?;
    let mut wanted = Vec::new();
    for (queue, configuration) in of_file(program, &apply.file, apply.queue.as_ref())? {
        let there = There::read(&client, &queue).await?;
        ensure!(
            there.version == apply.expect_version,
            "queue {queue} has version {} of its configuration, and {} was expected: look at it with \
             `upshot config diff`, and apply the file with the version that it was made from; no queue was changed",
            there.version,
            apply.expect_version,
        );
        wanted.push((queue, configuration, there));
    }
    for (queue, configuration, there) in wanted {
        let differences = there.differences(&configuration);
        let body = json!({
            "configuration": configuration, "expect_version": apply.expect_version, "by": apply.by,
        });
        let said = client.put(&path(&queue), &body).await?;
        let value = json!({"queue": queue, "version": said["version"], "differences": differences});
        out.item(&value, |page| {
            page.text(format!("{queue}: version {} is in force", text(&said, "version")));
            changes(page, &differences);
        })?;
    }
    Ok(())
}

/// The configuration in force for a queue.
struct There {
    version: u64,
    /// The stored configuration, with limits that were set differently since then.
    configuration: Option<Configuration>,
}

impl There {
    async fn read(client: &Client, queue: &QueueName) -> anyhow::Result<Self> {
        let said = client.read(&path(queue), &[]).await?;
        let version = said.get("version").and_then(Value::as_u64).unwrap_or_default();
        let Some(mut document) = said.get("configuration").filter(|stored| !stored.is_null()).cloned() else {
            return Ok(Self { version, configuration: None });
        };
        for apart in list(&said, "limits_apart") {
            let (key, mut limit) = (text(apart, "key"), apart.clone());
            let Some(fields) = limit.as_object_mut() else { continue };
            fields.remove("key");
            fields.retain(|_, value| !value.is_null());
            document["limits"][key] = limit;
        }
        let read = serde_json::from_value(document);
        let configuration = read
            .with_context(|| format!("the configuration of queue {queue} is of another version of Upshot"))?;
        Ok(Self { version, configuration: Some(configuration) })
    }

    /// The differences from the configuration in force to the wanted one.
    fn differences(&self, wanted: &Configuration) -> Vec<Difference> {
        match &self.configuration {
            Some(there) => there.differences(wanted),
            None => Difference::of(wanted),
        }
    }
}

/// The configurations in a settings file, for all queues or one. Variables do not count.
fn of_file(
    program: &Program,
    file: &Path,
    queue: Option<&QueueName>,
) -> anyhow::Result<BTreeMap<QueueName, Configuration>> {
    let settings = Settings::load(program, Some(file), [])?;
    let said = settings.queues.iter().filter(|(name, _)| queue.is_none_or(|queue| queue == *name));
    let said: BTreeMap<_, _> = said.map(|(name, of)| (name.clone(), of.configuration())).collect();
    if let (true, Some(queue)) = (said.is_empty(), queue) {
        bail!("{} has no queue {queue}: add [queues.{queue}], or a route that leads to it", file.display());
    }
    Ok(said)
}

fn path(queue: &QueueName) -> String {
    format!("/v1/queues/{queue}/configuration")
}

/// A queue's configuration, one value a line.
fn shown(page: &mut Page, said: &Value) {
    let queue = text(said, "queue");
    if part(said, "configuration").is_null() {
        page.text(format!("{queue}: none is stored yet; the first executor that starts stores its own"));
        return;
    }
    let (version, by) = (text(said, "version"), text(said, "by"));
    page.text(format!("{queue}: version {version}, stored {} by {by}", time(said, "stored_at")));
    let rows: Vec<[String; 2]> = Difference::leaves(part(said, "configuration"))
        .into_iter()
        .map(|leaf| [leaf.key, value(&leaf.to)])
        .collect();
    page.table(Table::bare().indented().wrapping(&[1]), &rows);
    for apart in list(said, "limits_apart") {
        page.text(format!(
            "{queue}: {} was set otherwise since; `upshot queues` shows it",
            text(apart, "key")
        ));
    }
    let versions: Vec<[String; 3]> = list(said, "versions")
        .map(|each| [text(each, "version"), time(each, "stored_at"), text(each, "by")])
        .collect();
    page.line("");
    page.table(Table::new(["VERSION", "STORED", "BY"]).wrapping(&[2]), &versions);
}

fn changes(page: &mut Page, differences: &[Difference]) {
    let rows: Vec<[String; 1]> = differences.iter().map(|each| [each.to_string()]).collect();
    page.table(Table::bare().indented().wrapping(&[0]), &rows);
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
