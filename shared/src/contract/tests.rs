//! What a contract costs, and what is refused as one.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// Far more than a check takes, and far less than one without bounds.
const BOUND: Duration = Duration::from_secs(5);
/// The largest event by default.
const EVENT: usize = 64 << 10;

fn contract(schema: &Value) -> Result<Contracts, Error> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.v1.schema.json"), schema.to_string()).unwrap();
    Contracts::load(&[], Some(dir.path()))
}

fn place(contracts: &Contracts, data: &Value) -> Option<String> {
    let began = Instant::now();
    let checked = contracts.check("a.v1", data.to_string().as_bytes());
    let took = began.elapsed();
    assert!(took < BOUND, "a check took {took:?}");
    checked.err().map(|rejection| rejection.place)
}

#[test]
fn a_pattern_that_would_backtrack_is_refused_with_file_and_remedy() {
    let patterns = [r"^(?!admin)", r"^(?=.*\d).+$", r"^(a)\1$", r"(?<!x)y", r"^(\w{1,500}){1,500}$"];
    for pattern in patterns {
        for schema in [
            json!({"properties": {"n/a": {"pattern": pattern}}}),
            json!({"properties": {"n/a": {"patternProperties": {pattern: true}}}}),
        ] {
            let said = contract(&schema).unwrap_err().to_string();
            for word in ["a.v1.schema.json", pattern, "/properties/n~1a", "look-around", "allOf"] {
                assert!(said.contains(word), "`{word}` is not in: {said}");
            }
        }
    }
    let said = contract(&json!({"type": "strnig"})).unwrap_err().to_string();
    assert!(said.contains("a.v1.schema.json") && said.contains("strnig"), "{said}");
}

#[test]
fn no_pattern_takes_more_than_its_size_times_the_text() {
    for pattern in ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*a){12}c", "(a|b)*a(a|b){200}c", r"^([\w.]+)+@$"] {
        let contracts = contract(&json!({"pattern": pattern})).unwrap();
        assert_eq!(place(&contracts, &json!("a".repeat(EVENT))).is_none(), pattern.starts_with("^(a"));
        assert_eq!(place(&contracts, &json!(format!("{}!", "ab".repeat(EVENT / 2)))).unwrap(), "/data");
    }
}

/// A tree of two kinds of nodes: each level could be either, so an explanation of
/// all branches doubles with each level.
#[test]
fn a_schema_that_refers_to_itself_is_checked_in_time_to_any_depth() {
    for combine in ["anyOf", "oneOf"] {
        let node = |kind: &str| {
            json!({
                "type": "object",
                "required": ["kind", "of"],
                "properties": {"kind": {"const": kind}, "of": {"$ref": "#"}},
            })
        };
        let contracts = contract(&json!({combine: [node("and"), node("or"), {"type": "null"}]})).unwrap();
        let nested = |leaf: Value| {
            (0..120)
                .fold(leaf, |of, level| json!({"kind": if level % 2 == 0 { "and" } else { "or" }, "of": of}))
        };
        assert_eq!(place(&contracts, &nested(Value::Null)), None);
        assert_eq!(place(&contracts, &nested(json!(1))).unwrap(), "/data");
    }
    // Branches that do not exclude each other.
    let node = json!({"type": "object", "properties": {"of": {"$ref": "#"}}});
    let contracts = contract(&json!({"anyOf": [node, node, node, {"const": 0}]})).unwrap();
    let nested = (0..120).fold(json!(1), |of, _| json!({"of": of}));
    assert_eq!(place(&contracts, &nested).unwrap(), "/data");
    let conditional = json!({
        "if": {"properties": {"of": {"$ref": "#"}}},
        "then": {"properties": {"of": {"$ref": "#"}}},
        "else": {"properties": {"of": {"$ref": "#"}}},
        "not": {"const": 1},
        "unevaluatedProperties": false,
    });
    assert_eq!(place(&contract(&conditional).unwrap(), &nested).unwrap(), "/data");
}

#[test]
fn a_schema_that_applies_itself_many_times_to_one_value_is_refused() {
    let mut schema = json!({"$ref": "#/$defs/0", "$defs": {"40": {"type": "string"}}});
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
        schema["$defs"][level.to_string()] = json!({"anyOf": [next, next]});
    }
    let said = contract(&schema).unwrap_err().to_string();
    assert!(said.contains("a.v1.schema.json") && said.contains("10000 sub-schemas"), "{said}");
}

#[test]
fn long_lists_are_checked_in_time() {
    let unique = contract(&json!({"uniqueItems": true})).unwrap();
    let mut items: Vec<Value> = (0..20_000).map(|n| json!({"n": n, "of": [n, "a"]})).collect();
    assert_eq!(place(&unique, &json!(items)), None);
    items.push(items[0].clone());
    assert_eq!(place(&unique, &json!(items)).unwrap(), "/data");
    let numbers: Vec<Value> = (0..20_000).map(|n| json!(n)).collect();
    let listed = contract(&json!({"items": {"enum": numbers}, "contains": {"const": -1}})).unwrap();
    assert_eq!(place(&listed, &json!(vec![json!(19_999); 10_000])).unwrap(), "/data");
}

#[test]
fn formats_of_addresses_are_those_that_mail_can_be_sent_to() {
    let contracts = contract(&json!({"properties": {
        "email": {"format": "email"}, "idn": {"format": "idn-email"},
    }}))
    .unwrap();
    for (address, email, idn) in [
        ("ada@mail.example", true, true),
        ("ada@bücher.example", false, true),
        ("käthe@bücher.example", false, true),
        ("john..doe@mail.example", false, false),
        ("john.@mail.example", false, false),
        ("ada@.x", false, false),
        ("ada@[192.0.2.1]", false, false),
        ("\"ada l\"@mail.example", false, false),
    ] {
        assert_eq!(place(&contracts, &json!({"email": address})).is_none(), email, "{address}");
        assert_eq!(place(&contracts, &json!({"idn": address})).is_none(), idn, "{address}");
    }
}

#[test]
fn the_place_is_where_the_data_stands() {
    let shipped =
        [("order.completed.v1", include_str!("../../../contracts/events/order.completed.v1.schema.json"))];
    let contracts = Contracts::load(&shipped, None).unwrap();
    let violation = contracts.check_at("/args", "order.completed.v1", b"{\"currency\": 1}").unwrap_err();
    assert!(violation.place.starts_with("/args"), "{violation}");
    assert_eq!(contracts.check("unknown.v1", b"{}"), Ok(()));
}
