//! `upshot config`: shows, compares and applies the configuration of queues through the API.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use upshot_queue::{Configuration, Difference, Limit, LimitKey, QueueName};
use upshot_runtime::{Settings, settings::Program};

use super::{
    client::Client,
    value::{list, part, text, time},
};
use crate::{
    arguments::{ConfigApply, ConfigCommand, ConfigDiff, ConfigShow},
    exit::Exit,
    output::{Output, Page, Table, note},
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
    if let Some(warning) = of_variables(std::env::vars_os().map(|(name, _)| name)) {
        note(warning);
    }
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
            left(page, &queue, &there.left(&wanted));
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
    if let Some(warning) = of_variables(std::env::vars_os().map(|(name, _)| name)) {
        note(warning);
    }
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
            left(page, &queue, &there.left(&configuration));
        })?;
    }
    Ok(())
}

/// The configuration in force for a queue.
struct There {
    version: u64,
    /// The stored configuration, with limits that were set differently since then.
    configuration: Option<Configuration>,
    /// Limits that were set otherwise since.
    apart: BTreeMap<LimitKey, Limit>,
}

impl There {
    async fn read(client: &Client, queue: &QueueName) -> anyhow::Result<Self> {
        let said = client.read(&path(queue), &[]).await?;
        let version = said.get("version").and_then(Value::as_u64).unwrap_or_default();
        let Some(document) = said.get("configuration").filter(|stored| !stored.is_null()).cloned() else {
            return Ok(Self { version, configuration: None, apart: BTreeMap::new() });
        };
        let other = || format!("the configuration of queue {queue} is of another version of Upshot");
        let mut apart = BTreeMap::new();
        for each in list(&said, "limits_apart") {
            let mut limit = each.clone();
            if let Some(fields) = limit.as_object_mut() {
                fields.remove("key");
            }
            apart.insert(text(each, "key").parse()?, serde_json::from_value(limit).with_context(other)?);
        }
        let configuration = serde_json::from_value(document).with_context(other)?;
        Ok(Self { version, configuration: Some(configuration), apart })
    }

    /// The differences from the configuration in force to the wanted one. A limit that both name
    /// alike stays as an operator set it.
    fn differences(&self, wanted: &Configuration) -> Vec<Difference> {
        let Some(mut there) = self.configuration.clone() else { return Difference::of(wanted) };
        for (key, limit) in &self.apart {
            if there.limits.get(key) != wanted.limits.get(key) {
                there.limits.insert(key.clone(), *limit);
            }
        }
        there.differences(wanted)
    }

    /// The limits that were set otherwise since and that the wanted configuration leaves so.
    fn left(&self, wanted: &Configuration) -> Vec<String> {
        let Some(there) = &self.configuration else { return Vec::new() };
        let is_left = |key: &&LimitKey| there.limits.get(*key) == wanted.limits.get(*key);
        self.apart.keys().filter(is_left).map(ToString::to_string).collect()
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
        let file = file.display();
        let why = format!("{file} has no queue {queue}: add [queues.{queue}], or a route that leads to it");
        return Err(Exit::NotFound.because(why));
    }
    Ok(said)
}

/// What to say where variables set keys of queues: executors count them, and the file is read
/// without them.
fn of_variables(names: impl Iterator<Item = OsString>) -> Option<String> {
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("UPSHOT_QUEUES__"))
        .collect();
    names.sort();
    (!names.is_empty()).then(|| {
        format!(
            "warning: only the file counts here, and these variables are ignored: {}; put their values into the file",
            names.join(", ")
        )
    })
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

/// Limits that stay as they were set by hand.
fn left(page: &mut Page, queue: &QueueName, keys: &[String]) {
    for key in keys {
        page.text(format!("{queue}: {key} was set otherwise since and stays so; `upshot limit` changes it"));
    }
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_do_not_count_are_named() {
        let of = |names: &[&str]| of_variables(names.iter().map(OsString::from));
        assert_eq!(of(&["UPSHOT_AMQP_URL", "PATH"]), None);
        let said = of(&["UPSHOT_QUEUES__B__KEEP_DEAD", "UPSHOT_QUEUES__A__KEEP_DEAD"]).unwrap();
        assert!(said.contains("UPSHOT_QUEUES__A__KEEP_DEAD, UPSHOT_QUEUES__B__KEEP_DEAD;"), "{said}");
    }

    #[test]
    fn a_limit_that_stays_is_no_difference() {
        let (smtp, api) = (LimitKey::Key("smtp".to_owned()), LimitKey::Key("api".to_owned()));
        let of = |smtp_at: u32, api_at: u32| {
            let limits =
                [(smtp.clone(), Limit::concurrency(smtp_at)), (api.clone(), Limit::concurrency(api_at))];
            Configuration { limits: limits.into(), ..Configuration::default() }
        };
        let apart = [(smtp.clone(), Limit::concurrency(9)), (api.clone(), Limit::concurrency(9))].into();
        let there = There { version: 1, configuration: Some(of(1, 1)), apart };
        let shown: Vec<String> = there.differences(&of(1, 2)).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["limits.\"key:api\".concurrency: 9 -> 2"]);
        assert_eq!(there.left(&of(1, 2)), ["key:smtp"]);
    }
}
