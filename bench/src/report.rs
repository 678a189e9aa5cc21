//! The figures as a table for people and as JSON for programs.

use std::{fs, path::Path};

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::{
    figures::{ALL, Figures, Target},
    machine::Machine,
};

/// A line for each figure that was measured.
pub fn table(figures: &Figures) -> String {
    let mut lines =
        vec![format!("{:<30}{:>10}  {:<22}{}", "figure", "value", "first target", "what it says")];
    for (name, says, target) in ALL {
        if let Some(value) = figures.get(name) {
            let target = verdict(value, *target);
            lines.push(format!("{name:<30}{:>10}  {target:<22}{says}", number(value)));
        }
    }
    lines.join("\n")
}

fn verdict(value: f64, target: Target) -> String {
    let (sign, target, met) = match target {
        Target::AtLeast(target) => ("≥", target, value >= target),
        Target::AtMost(target) => ("≤", target, value <= target),
        Target::None => return String::new(),
    };
    format!("{sign} {:<8}{}", number(target), if met { "met" } else { "NOT met" })
}

/// Three digits that say something, thousands set apart.
fn number(value: f64) -> String {
    if value.abs() < 1.0 {
        return format!("{value:.3}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes the figures and the machine as JSON.
pub fn write(figures: &Figures, machine: &Machine, path: &Path) -> anyhow::Result<()> {
    let mut all = Map::new();
    for (name, ..) in ALL {
        let Some(value) = figures.get(name) else { continue };
        let value = Value::from((value * 10_000.0).round() / 10_000.0);
        match name.split_once('.') {
            None => all.insert((*name).to_owned(), value),
            Some((group, name)) => {
                let group = all.entry(group).or_insert_with(|| json!({}));
                group.as_object_mut().and_then(|group| group.insert(name.to_owned(), value))
            }
        };
    }
    let Machine { cores, redis, rabbitmq } = machine;
    all.insert("machine".to_owned(), json!({"cores": cores, "redis": redis, "rabbitmq": rabbitmq}));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.03912, 2.5, 14.0, 999.6, 38_123.4].map(number);
        assert_eq!(shown, ["0.039", "2.5", "14", "1,000", "38,123"]);
    }

    #[test]
    fn json_has_the_figures_by_name_and_groups() {
        let (mut figures, dir) = (Figures::default(), tempfile::tempdir().unwrap());
        figures.add("rss_mb.api", 21.5);
        figures.add("noop_cpu_ms", 0.1);
        let machine = Machine { cores: 2, redis: "7".into(), rabbitmq: "3".into() };
        let path = dir.path().join("below").join("bench.json");
        write(&figures, &machine, &path).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let machine = json!({"cores": 2, "redis": "7", "rabbitmq": "3"});
        assert_eq!(written, json!({"rss_mb": {"api": 21.5}, "noop_cpu_ms": 0.1, "machine": machine}));
    }

    #[test]
    fn a_target_says_whether_it_is_met() {
        assert!(verdict(3.0, Target::AtMost(3.0)).ends_with("  met"));
        assert!(verdict(0.4, Target::AtLeast(0.5)).ends_with("NOT met"));
    }
}
