//! Bounds how much of a schema can apply to a value.
//!
//! Both walks follow references within the schema's own file. They read every member that could
//! hold a schema; other members cost only the reading.

use serde_json::{Map, Value};

/// The most sub-schemas that may apply to one value.
pub(super) const MAX_IN_PLACE: usize = 10_000;
/// The most parts of a schema, each reference replaced by its target, whose violations are explained.
const MAX_EXPLAINED: usize = 10_000;
/// References that lead to references; the walks go no deeper.
const MAX_DEPTH: usize = 100;

/// The place of the first schema that applies more than [`MAX_IN_PLACE`] sub-schemas
/// to the same value.
pub(super) fn too_broad(root: &Value) -> Option<String> {
    let mut todo = vec![(String::new(), root)];
    while let Some((place, node)) = todo.pop() {
        match node {
            Value::Object(members) => {
                let walk = Walk { root, follow: in_place };
                if walk.spend(node, &mut Vec::new(), &mut { MAX_IN_PLACE }) == Spent::TooMuch {
                    return Some(place);
                }
                let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
                todo.extend(members.iter().map(|(name, node)| (format!("{place}/{}", escaped(name)), node)));
            }
            Value::Array(items) => {
                todo.extend(items.iter().enumerate().map(|(n, node)| (format!("{place}/{n}"), node)));
            }
            _ => {}
        }
    }
    None
}

/// Whether the schema is finite and small when each reference is replaced by its target.
pub(super) fn is_small(root: &Value) -> bool {
    let walk = Walk { root, follow: anywhere };
    walk.spend(root, &mut Vec::new(), &mut { MAX_EXPLAINED }) == Spent::All
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spent {
    /// Everything was counted.
    All,
    /// It refers to itself, or to something that is not in this file.
    Open,
    /// The count was reached.
    TooMuch,
}

impl Spent {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::TooMuch, _) | (_, Self::TooMuch) => Self::TooMuch,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            _ => Self::All,
        }
    }
}

struct Walk<'a> {
    root: &'a Value,
    follow: fn(&Map<String, Value>) -> Vec<&Value>,
}

impl<'a> Walk<'a> {
    fn spend(&self, node: &'a Value, through: &mut Vec<&'a str>, left: &mut usize) -> Spent {
        if !node.is_object() && !node.is_array() {
            return Spent::All;
        }
        let Some(rest) = left.checked_sub(1) else { return Spent::TooMuch };
        *left = rest;
        let mut spent = Spent::All;
        let parts = match node {
            Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                    spent = self.spend_target(target, through, left);
                } else if members.contains_key("$dynamicRef") || members.contains_key("$recursiveRef") {
                    spent = Spent::Open;
                }
                (self.follow)(members)
            }
            Value::Array(items) => items.iter().collect(),
            _ => return spent,
        };
        for part in parts {
            if spent == Spent::TooMuch {
                break;
            }
            spent = spent.and(self.spend(part, through, left));
        }
        spent
    }

    fn spend_target(&self, target: &'a str, through: &mut Vec<&'a str>, left: &mut usize) -> Spent {
        if through.contains(&target) || through.len() >= MAX_DEPTH {
            return Spent::Open;
        }
        let Some(node) = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
            return Spent::Open;
        };
        through.push(target);
        let spent = self.spend(node, through, left);
        through.pop();
        spent
    }
}

/// The members whose schemas apply to the same value.
fn in_place(members: &Map<String, Value>) -> Vec<&Value> {
    const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
    const SCHEMAS: [&str; 4] = ["not", "if", "then", "else"];
    const MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
    let lists = LISTS.iter().filter_map(|name| members.get(*name)?.as_array()).flatten();
    let schemas = SCHEMAS.iter().filter_map(|name| members.get(*name));
    let maps = MAPS.iter().filter_map(|name| members.get(*name)?.as_object()).flat_map(Map::values);
    lists.chain(schemas).chain(maps).collect()
}

/// All members but the definitions, which are counted where they are referred to.
fn anywhere(members: &Map<String, Value>) -> Vec<&Value> {
    let defines = |name: &str| matches!(name, "$defs" | "definitions");
    members.iter().filter(|(name, _)| !defines(name)).map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Definitions that each refer to the next one twice.
    fn doubling(levels: usize) -> Value {
        let mut schema = json!({"$ref": "#/$defs/0", "$defs": {}});
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            schema["$defs"][level.to_string()] = json!({"anyOf": [next, next]});
        }
        schema["$defs"][levels.to_string()] = json!({"type": "string"});
        schema
    }

    #[test]
    fn references_that_double_at_one_value_are_too_broad() {
        assert_eq!(too_broad(&doubling(8)), None);
        assert!(too_broad(&doubling(30)).is_some());
        let wide: Vec<Value> = (0..20_000).map(|n| json!({"const": n})).collect();
        assert_eq!(too_broad(&json!({"properties": {"a/b": {"oneOf": wide}}})).unwrap(), "/properties/a~1b");
        // A list of values is one sub-schema.
        assert_eq!(too_broad(&json!({"enum": (0..20_000).collect::<Vec<_>>()})), None);
    }

    #[test]
    fn what_refers_to_itself_is_not_small() {
        assert!(is_small(
            &json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "null"}}})
        ));
        for schema in [
            json!({"properties": {"a": {"$ref": "#"}}}),
            json!({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
            json!({"$ref": "#anchor"}),
            json!({"$dynamicRef": "#node"}),
            doubling(30),
        ] {
            assert!(!is_small(&schema), "{schema}");
        }
        // Nothing of that is too broad at one value, but for the last.
        assert_eq!(too_broad(&json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]})), None);
    }
}
