//! What is shipped for Prometheus and Grafana names metrics that there are, and every rule is tested.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde_json::Value;
use upshot_ledger::alarms::Sort;

fn text(path: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics of docs/metrics.md and their types. A test of /metrics holds that they are what
/// services export.
fn documented() -> BTreeMap<String, String> {
    let page = text("docs/metrics.md");
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

/// The names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = expression.split(|char| !is_of_name(char));
    words
        .filter(|word| word.starts_with("upshot_") || word.starts_with("job_queue_"))
        .map(str::to_owned)
        .collect()
}

/// Fails if an expression names a metric that there is not.
fn hold(place: &str, expression: &str, documented: &BTreeMap<String, String>) {
    let found = metrics(expression);
    assert!(!found.is_empty(), "{place} names no metric: {expression}");
    for name in found {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_histogram =
            histogram.is_some_and(|base| documented.get(base).is_some_and(|kind| kind == "histogram"));
        assert!(
            documented.contains_key(&name) || is_histogram,
            "{place} names {name}, and docs/metrics.md does not"
        );
    }
}

/// The rules: their names, and the lines that follow each one.
fn rules() -> Vec<(String, String)> {
    let text = text("deploy/prometheus/upshot.rules.yml");
    let parts = text.split("- alert: ").skip(1);
    // A name that ends the file is a rule without lines, which no check lets pass.
    parts
        .map(|part| part.split_once('\n').unwrap_or((part, "")))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn every_rule_names_metrics_that_there_are() {
    let documented = documented();
    let rules = rules();
    assert!(rules.len() > 10 && documented.len() > 50);
    for (name, rest) in rules {
        let (expression, _) = rest.split_once("labels:").unwrap();
        hold(&name, expression, &documented);
    }
}

#[test]
fn every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let tests = text("deploy/prometheus/upshot.test.yml");
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for part in tests.split("alertname: ").skip(1) {
        let name: String = part.chars().take_while(char::is_ascii_alphanumeric).collect();
        if part.split_once("exp_alerts:").unwrap().1.trim_start().starts_with("[]") {
            is_silent.insert(name);
        } else {
            assert!(part.contains("exp_labels:"), "{name}");
            fires.insert(name);
        }
    }
    let names: BTreeSet<String> = rules().into_iter().map(|(name, _)| name).collect();
    assert_eq!(fires, names);
    assert_eq!(is_silent, names);
}

/// Rules that only Prometheus has: without figures, or without the data in Redis, the API cannot look.
const OF_PROMETHEUS: [&str; 2] = ["UpshotDataLost", "UpshotNoFigures"];

#[test]
fn the_alarms_of_the_api_are_the_rules_and_both_are_explained() {
    let page = text("docs/alarms.md");
    let mut rest: BTreeMap<String, String> = rules().into_iter().collect();
    for sort in Sort::ALL {
        let rule = rest.remove(&sort.rule()).unwrap_or_else(|| panic!("no rule for {sort}"));
        let severity = format!("severity: {}\n", sort.severity().as_str());
        assert!(rule.contains(&severity), "{sort} is {severity}");
        let minutes = sort.lasts() / 60_000;
        let lasts = (minutes > 0).then(|| format!("for: {minutes}m\n"));
        assert!(lasts.map_or(!rule.contains("for: "), |lasts| rule.contains(&lasts)), "{sort}: {minutes}m");
        let row = format!("| `{sort}` | `{}` | {} |", sort.rule(), sort.severity().as_str());
        assert!(page.contains(&row), "docs/alarms.md has no row {row}");
    }
    assert_eq!(rest.keys().collect::<Vec<_>>(), OF_PROMETHEUS);
    for name in OF_PROMETHEUS {
        assert!(page.contains(&format!("| | `{name}` |")), "docs/alarms.md has no row of {name}");
    }
}

#[test]
fn the_dashboard_names_metrics_that_there_are() {
    let documented = documented();
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/upshot.json")).unwrap();
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "a panel's id twice: {}", panel["id"]);
        for target in panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default() {
            hold(panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap(), &documented);
            count += 1;
        }
    }
    assert!(count > 20);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            hold("a variable", variable["query"]["query"].as_str().unwrap(), &documented);
        }
    }
}

#[test]
fn a_metric_that_is_not_there_is_found() {
    let documented = documented();
    let unknown = std::panic::catch_unwind(|| hold("x", "rate(upshot_none_total[5m])", &documented));
    assert!(unknown.is_err());
    let bucket = "rate(upshot_bridge_ack_seconds_bucket[5m])";
    hold("x", bucket, &documented);
    let no_histogram = std::panic::catch_unwind(|| hold("x", "upshot_queue_up_bucket", &documented));
    assert!(no_histogram.is_err());
}
