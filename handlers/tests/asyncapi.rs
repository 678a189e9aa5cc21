//! The committed snapshot of the AsyncAPI document.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// What `upshot asyncapi` prints.
fn document() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_upshot")).arg("asyncapi").env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_document_matches_its_snapshot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/asyncapi.json");
    let document = document();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        snapshot == document,
        "docs/asyncapi.json is not what routes and contracts say: run the test with UPDATE_SNAPSHOTS=1 and review \
         the change"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
    }
    assert_eq!(document["channels"]["order.completed.v1"]["address"], "order.completed.v1");
    assert_eq!(document["channels"]["upshot.outcomes"]["messages"].as_object().unwrap().len(), 7);
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
