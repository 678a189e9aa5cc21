//! Schemas as an AsyncAPI document has them: references begin at the document's root.

use serde_json::{Map, Value, json};

/// Keywords whose values are data, not schemas.
const DATA: [&str; 5] = ["const", "enum", "examples", "example", "default"];

/// A component key: other characters than letters, digits and `._-` are `_`.
pub(super) fn key(text: &str) -> String {
    let is_kept = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    text.chars().map(|char| if is_kept(char) { char } else { '_' }).collect()
}

/// A JSON Schema as the component of this key. Its own `$schema` and `$id` are left out, because
/// they would change what its references mean.
pub(super) fn component(key: &str, schema: &Value) -> Value {
    let mut schema = rooted(key, schema);
    if let Value::Object(members) = &mut schema {
        members.remove("$schema");
        members.remove("$id");
    }
    schema
}

fn rooted(key: &str, schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match value {
                    Value::String(to) if name == "$ref" => match to.strip_prefix('#') {
                        Some(place) => format!("#/components/schemas/{key}{place}").into(),
                        None => value.clone(),
                    },
                    _ if DATA.contains(&name.as_str()) => value.clone(),
                    _ => rooted(key, value),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(values) => values.iter().map(|value| rooted(key, value)).collect(),
        _ => schema.clone(),
    }
}

/// The body of an event in structured mode.
pub(super) fn event(kind: &str, data: Value) -> Value {
    let mut properties = common(kind, data);
    properties.insert(
        "idempotencykey".to_owned(),
        json!({ "type": "string", "description": "Identifies the event within its source, instead of `id`." }),
    );
    envelope(&properties, &["specversion", "id", "source", "type"])
}

/// The body of a receipt.
pub(super) fn receipt(kind: &str, data: Value) -> Value {
    let mut properties = common(kind, data);
    properties.insert(
        "sequence".to_owned(),
        json!({ "type": "string", "description": "Orders the receipts of a source; compared as text." }),
    );
    let required = ["specversion", "id", "source", "type", "time", "datacontenttype", "sequence", "data"];
    envelope(&properties, &required)
}

/// The body of an entry of the audit log.
pub(super) fn entry(kind: &str, data: Value) -> Value {
    let mut properties = common(kind, data);
    for other in ["subject", "tenant", "traceparent"] {
        properties.remove(other);
    }
    envelope(&properties, &["specversion", "id", "source", "type", "time", "datacontenttype", "data"])
}

fn common(kind: &str, data: Value) -> Map<String, Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let members = [
        ("specversion", json!({ "const": "1.0" })),
        ("id", text("Identifies it within its source.")),
        ("source", text("Where it comes from, a URI reference.")),
        ("type", json!({ "const": kind })),
        ("subject", text("The business key that people know.")),
        ("time", json!({ "type": "string", "format": "date-time", "description": "When it happened." })),
        ("datacontenttype", json!({ "const": "application/json" })),
        ("tenant", text("The tenant.")),
        ("traceparent", text("The W3C trace context.")),
        ("data", data),
    ];
    members.map(|(name, schema)| (name.to_owned(), schema)).into_iter().collect()
}

fn envelope(properties: &Map<String, Value>, required: &[&str]) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_begin_at_the_root_of_the_document() {
        let schema = json!({
            "$id": "urn:x",
            "properties": { "a": { "$ref": "#/$defs/a" }, "b": { "$ref": "#" }, "c": { "const": { "$ref": "#/x" } } },
            "anyOf": [{ "$ref": "#/$defs/a" }],
        });
        let expected = json!({
            "properties": {
                "a": { "$ref": "#/components/schemas/k/$defs/a" },
                "b": { "$ref": "#/components/schemas/k" },
                "c": { "const": { "$ref": "#/x" } },
            },
            "anyOf": [{ "$ref": "#/components/schemas/k/$defs/a" }],
        });
        assert_eq!(component("k", &schema), expected);
        assert_eq!(key("order:a/b.v1"), "order_a_b.v1");
    }
}
