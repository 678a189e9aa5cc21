//! In what two documents differ.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use serde_json::{Map, Value};

use super::Configuration;

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The key, such as `kinds."invoice.issue".retries.transient`.
    pub key: String,
    /// The value in the one; null where it has none.
    pub from: Value,
    /// The value in the other; null where it has none.
    pub to: Value,
}

impl Difference {
    /// The values of a configuration, as differences from nothing.
    pub fn of(configuration: &Configuration) -> Vec<Self> {
        Self::leaves(&configuration.document())
    }

    /// The values of a document.
    pub fn leaves(document: &Value) -> Vec<Self> {
        differences(&Value::Null, document)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.key, shown(&self.from), shown(&self.to))
    }
}

/// A value for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The values in which two documents differ, in the order of their keys.
pub(super) fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", from, to, &mut found);
    found
}

fn compare(key: &str, from: &Value, to: &Value, found: &mut Vec<Difference>) {
    let nothing = Map::new();
    let objects = match (from, to) {
        (Value::Object(from), Value::Object(to)) => Some((from, to)),
        (Value::Object(from), Value::Null) => Some((from, &nothing)),
        (Value::Null, Value::Object(to)) => Some((&nothing, to)),
        _ => None,
    };
    if let Some((from, to)) = objects {
        let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for name in names {
            let value = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            compare(&below(key, name), &value(from), &value(to), found);
        }
    } else if from != to {
        found.push(Difference { key: key.to_owned(), from: from.clone(), to: to.clone() });
    }
}

/// The first key of a document that another, which was made of it, does not have.
pub(super) fn unknown(document: &Value, known: &Value) -> Option<String> {
    differences(document, known)
        .into_iter()
        .find(|each| !each.from.is_null() && each.to.is_null())
        .map(|each| each.key)
}

/// The key of a value below another. Names with other characters stand in quotes, as in TOML.
fn below(key: &str, name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_their_keys() {
        let from = json!({"a": 1, "kinds": {"x.y": {"n": 1}}, "gone": {"b": 2}});
        let to = json!({"a": 1, "kinds": {"x.y": {"n": 2}}, "new": "c"});
        let found: Vec<_> =
            differences(&from, &to).into_iter().map(|each| (each.key, each.from, each.to)).collect();
        assert_eq!(
            found,
            [
                ("gone.b".to_owned(), json!(2), Value::Null),
                ("kinds.\"x.y\".n".to_owned(), json!(1), json!(2)),
                ("new".to_owned(), Value::Null, json!("c")),
            ]
        );
        assert!(differences(&from, &from).is_empty());
    }
}
