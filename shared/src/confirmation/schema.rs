//! The JSON Schema of a confirmation's body.

use serde_json::{Value, json};
use upshot_queue::MAX_CONDITION;

use super::{MAX_FACTS, MAX_ID, MAX_TEXT};

/// The schema. JSON Schema counts characters and a queue counts bytes, so a body of long texts that
/// are not ASCII may be refused although it matches.
pub fn schema() -> Value {
    let text = |description: &str, most: usize| json!({ "type": ["string", "null"], "minLength": 1, "maxLength": most, "description": description });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "Proof from outside of what became of work.",
        "required": ["queue", "key"],
        "additionalProperties": false,
        "if": { "properties": { "outcome": { "const": "missed" } }, "required": ["outcome"] },
        "then": { "required": ["reason"], "properties": { "reason": { "type": "string" } } },
        "else": { "properties": { "reason": { "const": null } } },
        "properties": {
            "queue": { "type": "string", "description": "The queue of the jobs that wait for it." },
            "tenant": text("The tenant of these jobs; left out for jobs without a tenant, or if the CloudEvent has it.", 512),
            "key": { "type": "string", "minLength": 1, "maxLength": MAX_CONDITION, "description": "What they wait for." },
            "id": text("Identifies the confirmation. The same id with another body is a contradiction. Left out: source and id of the CloudEvent.", MAX_ID),
            "outcome": {
                "enum": ["achieved", "missed", null],
                "default": "achieved",
                "description": "What it says of the work.",
            },
            "reason": text("Why the outcome is missed; only with `missed`.", MAX_TEXT),
            "evidence": {
                "type": ["object", "null"],
                "maxProperties": MAX_FACTS,
                "additionalProperties": { "type": "string", "maxLength": MAX_TEXT },
                "description": "Facts that can be checked later, such as a transaction's id.",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::Contracts, event::Envelope};

    #[test]
    fn the_schema_and_the_bridge_take_the_same_bodies() {
        let text = schema().to_string();
        let contracts = Contracts::load(&[("c", &text.leak()[..])], None).unwrap();
        let evidence: Value =
            (0..33).map(|n| (n.to_string(), "x".into())).collect::<serde_json::Map<_, _>>().into();
        for (body, is_good) in [
            (json!({"queue": "q", "key": "a"}), true),
            (
                json!({"queue": "q", "key": "a", "tenant": null, "id": "1", "outcome": null, "evidence": null}),
                true,
            ),
            (
                json!({"queue": "q", "key": "a", "outcome": "missed", "reason": "lost", "evidence": {"a": "b"}}),
                true,
            ),
            (json!({"queue": "q", "key": "a", "outcome": "missed"}), false),
            (json!({"queue": "q", "key": "a", "reason": "lost"}), false),
            (json!({"key": "a"}), false),
            (json!({"queue": "q"}), false),
            (json!({"queue": "q", "key": "x".repeat(201)}), false),
            (json!({"queue": "q", "key": "a", "outcome": "lost"}), false),
            (json!({"queue": "q", "key": "a", "id": ""}), false),
            (json!({"queue": "q", "key": "a", "evidence": {"a": 1}}), false),
            (json!({"queue": "q", "key": "a", "evidence": evidence}), false),
            (json!({"queue": "q", "key": "a", "other": 1}), false),
            (json!([1]), false),
        ] {
            let bytes = bytes::Bytes::from(body.to_string());
            let decoded =
                super::super::decode(&Envelope::default(), &bytes, 1 << 20, &["q".parse().unwrap()]);
            assert_eq!(decoded.is_ok(), is_good, "{body}: {decoded:?}");
            assert_eq!(contracts.check("c", &bytes).is_ok(), is_good, "{body}");
        }
    }
}
