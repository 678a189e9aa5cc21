//! Hides personal data in what people read.
//!
//! | module | its one thing |
//! |---|---|
//! | [`address`] | shortens mail addresses anywhere in a text |
//! | [`pointer`] | a JSON pointer that may name every member of a list or an object |
//! | [`paths`] | the pointers of each event type |
//!
//! All of it is pure. The API decides when to apply it; see `upshot-api`'s `shown`.

mod address;
mod paths;
mod pointer;

use serde_json::{Map, Value};

pub use address::shorten;
pub use paths::Paths;
pub use pointer::{BadPointer, Pointer};

/// The text shown instead of a value that is hidden.
pub const MASK: &str = "…";

/// Replaces each value that a path names by [`MASK`]. A path that names nothing changes nothing.
pub fn redact(value: &mut Value, paths: &[Pointer]) {
    for path in paths {
        path.visit(value, &mut |found| *found = Value::from(MASK));
    }
}

/// Shortens the mail addresses in all texts of a value, and in the names of its members.
pub fn shorten_all(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(short) = shorten(text) {
                *text = short;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten_all),
        Value::Object(members) => {
            members.values_mut().for_each(shorten_all);
            if members.keys().any(|name| shorten(name) != name.as_str()) {
                *members = std::mem::take(members).into_iter().fold(Map::new(), renamed);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The place of the first text that hides something, as a JSON pointer: [`MASK`] alone, or a
/// shortened mail address. For values that come back from a person that saw a redacted answer.
pub fn hidden(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => is_hidden(text).then(String::new),
        Value::Array(values) => {
            values.iter().enumerate().find_map(|(index, value)| Some(format!("/{index}{}", hidden(value)?)))
        }
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let segment = || format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            if is_hidden(name) { Some(segment()) } else { hidden(value).map(|rest| segment() + &rest) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_hidden(text: &str) -> bool {
    text == MASK || ["@", "%40", "\"@"].into_iter().any(|sign| text.contains(&format!("{MASK}{sign}")))
}

/// Adds a member under its shortened name. Two names that become equal are told apart by a number,
/// so that no member is lost.
fn renamed(mut members: Map<String, Value>, (name, value): (String, Value)) -> Map<String, Value> {
    let short = shorten(&name).into_owned();
    let mut free = short.clone();
    let mut number = members.len();
    while members.contains_key(&free) {
        number += 1;
        free = format!("{short} ({number})");
    }
    members.insert(free, value);
    members
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn paths(texts: &[&str]) -> Vec<Pointer> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_a_path_names_is_hidden_and_the_rest_stays() {
        let mut order = json!({"number": 7, "customer": {"name": "Ada", "address": ["a", "b"], "a/b": 1},
            "lines": [{"text": "x", "n": 1}, {"text": "y"}, "z"]});
        let of =
            ["/customer/name", "/customer/address", "/customer/a~1b", "/lines/*/text", "/no", "/number/*"];
        redact(&mut order, &paths(&of));
        let hidden = json!({"number": 7, "customer": {"name": "…", "address": "…", "a/b": "…"},
            "lines": [{"text": "…", "n": 1}, {"text": "…"}, "z"]});
        assert_eq!(order, hidden);
        redact(&mut order, &paths(&["/lines/1", "/lines/01", "/customer/*"]));
        let hidden = json!({"number": 7, "customer": {"name": "…", "address": "…", "a/b": "…"},
            "lines": [{"text": "…", "n": 1}, "…", "z"]});
        assert_eq!(order, hidden);
        redact(&mut order, &paths(&[""]));
        assert_eq!(order, json!("…"));
    }

    #[test]
    fn addresses_are_shortened_in_texts_and_names() {
        let mut value =
            json!({"to": ["ada@x.example", 5], "ada@x.example": {"n": 1}, "alan@x.example": null});
        shorten_all(&mut value);
        assert_eq!(
            value,
            json!({"to": ["a…@x.example", 5], "a…@x.example": {"n": 1}, "a…@x.example (2)": null})
        );
    }

    #[test]
    fn what_was_hidden_is_found() {
        for (value, place) in [
            (json!({"a": [{"b/c": "…"}]}), Some("/a/0/b~1c")),
            (json!({"to": "a…@x.example"}), Some("/to")),
            (json!({"a…@x": 1}), Some("/a…@x")),
            (json!(["\"a…\"@x", "b"]), Some("/0")),
            (json!({"note": "and so on …", "n": 1}), None),
        ] {
            assert_eq!(hidden(&value).as_deref(), place, "{value}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z@.]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c@]{1,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_the_mark_and_nothing_else_changes(
            value in json_value(),
            names in prop::collection::vec("[a-c]|0|1|\\*", 0..4),
        ) {
            let text: String = names.iter().map(|name| format!("/{name}")).collect();
            let path: Pointer = text.parse().unwrap();
            let mut shown = value.clone();
            redact(&mut shown, std::slice::from_ref(&path));
            let mut named = 0;
            path.visit(&mut shown, &mut |found| {
                named += 1;
                assert_eq!(found, &Value::from(MASK));
            });
            prop_assert_eq!(named == 0, shown == value && !is_named(&path, &value));
            prop_assert_eq!(hidden(&shown).is_some(), named > 0);
            let once = shown.clone();
            redact(&mut shown, &[path]);
            prop_assert_eq!(shown, once);
        }

        #[test]
        fn no_member_and_no_number_is_lost(value in json_value()) {
            prop_assert_eq!(hidden(&value), None);
            let mut short = value.clone();
            shorten_all(&mut short);
            prop_assert_eq!(hidden(&short).is_some(), short != value);
            prop_assert_eq!(leaves(&short), leaves(&value));
        }
    }

    fn is_named(path: &Pointer, value: &Value) -> bool {
        let mut named = false;
        path.visit(&mut value.clone(), &mut |_| named = true);
        named
    }

    fn leaves(value: &Value) -> usize {
        match value {
            Value::Array(values) => values.iter().map(leaves).sum(),
            Value::Object(members) => members.values().map(leaves).sum(),
            _ => 1,
        }
    }
}
