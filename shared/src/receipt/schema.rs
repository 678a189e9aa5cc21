//! The contracts of receipts: a JSON Schema of the data for each type.
//!
//! `contracts/outcomes/` has them as files. Objects are open (`additionalProperties: true`): a later
//! version may add members, so a reader ignores members that it does not know. What has a member
//! here is always there; `null` says that it does not apply or is not known.

use serde_json::{Map, Value, json};

use super::{
    Verdict,
    data::{Cause, Data, Decision, Reason, Time},
};
use crate::outcome::{Evidence, Part};

/// The JSON Schema (draft 2020-12) of the data of a receipt.
pub fn schema(verdict: Verdict) -> Value {
    let properties = properties(verdict);
    let required: Vec<&String> = properties.keys().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:upshot:outcome:{}", verdict.event_type()),
        "title": verdict.event_type(),
        "description": format!(
            "The data of the event that says: {}. Readers ignore members that they do not know: a later \
             version of Upshot may add some. A long text, or much evidence, is cut.",
            meaning(verdict)
        ),
        "type": "object",
        "additionalProperties": true,
        "required": required,
        "properties": properties,
        "examples": [example(verdict)],
    })
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Achieved => "the work that an event asked for came out right, in time or late",
        Verdict::Partial => "a part of the work that an event asked for came out right",
        Verdict::Missed => "the work that an event asked for did not come out right",
        Verdict::Overdue => {
            "the outcome of an event is late; the work continues, and another receipt follows"
        }
        Verdict::Cancelled => "the work that an event asked for was cancelled",
        Verdict::Waived => "an operator settled the outcome of an event, with a reason",
        Verdict::Reopened => "the work began again after a verdict; another receipt follows",
    }
}

fn statuses(verdict: Verdict) -> &'static [&'static str] {
    match verdict {
        Verdict::Achieved => &["achieved_in_time", "achieved_late"],
        Verdict::Partial => &["partial"],
        Verdict::Missed => &["missed"],
        Verdict::Overdue => &["overdue"],
        Verdict::Cancelled => &["cancelled"],
        Verdict::Waived => &["waived"],
        Verdict::Reopened => &["reopened"],
    }
}

fn properties(verdict: Verdict) -> Map<String, Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let maybe = |description: &str| json!({ "type": ["string", "null"], "description": description });
    let time = |description: &str| json!({ "type": ["string", "null"], "format": "date-time", "description": description });
    let in_time = match verdict {
        Verdict::Achieved => json!({ "type": "boolean" }),
        Verdict::Missed | Verdict::Overdue => json!({ "const": false }),
        _ => json!({ "type": "null" }),
    };
    let with = |mut schema: Value, description: &str| {
        schema["description"] = description.into();
        schema
    };
    let decided_at = match verdict.decides() {
        true => json!({ "type": "string", "format": "date-time" }),
        false => json!({ "type": "null" }),
    };
    let members = [
        (
            "event",
            object(
                "The event that asked for the outcome; null if the job is no longer known.",
                &json!({
                    "source": text("Its `source`."),
                    "id": text("Its `id`."),
                    "type": text("Its `type`."),
                }),
            ),
        ),
        ("tenant", maybe("The tenant of the event.")),
        ("route", text("The route that expects the outcome.")),
        ("queue", text("The queue of the job.")),
        ("kind", maybe("The kind of job; null if the job is no longer known.")),
        ("job", text("The id of the job. A route makes one job of an event.")),
        ("job_path", text("The path of the job in the API.")),
        ("status", json!({ "enum": statuses(verdict), "description": "How the outcome stands." })),
        ("in_time", with(in_time, "Whether it was achieved in time; null where that does not apply.")),
        ("expected_by", time("By when it was expected.")),
        ("accepted_at", time("When the event became a job.")),
        ("decided_at", with(decided_at, "When it was decided; null while it is not.")),
        (
            "attempts",
            json!({
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "Attempts until the receipt was made.",
            }),
        ),
        ("summary", maybe("For people, when it was achieved: what.")),
        (
            "evidence",
            json!({
                "type": "array",
                "description": "What can be checked. Its kind says which facts it has, all of them texts.",
                "items": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": { "kind": { "type": "string" } },
                    "additionalProperties": { "type": "string" },
                },
            }),
        ),
        (
            "parts",
            json!({
                "type": "array",
                "description": "The parts of the outcome, if it has any. Evidence names its part.",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": { "type": "string" },
                        "weight": {
                            "type": "integer",
                            "minimum": 1,
                            "description": "What it weighs beside the others; 1 if left out.",
                        },
                        "reason": { "type": "string", "description": "Why it was missed; left out if it was achieved." },
                    },
                    "additionalProperties": true,
                },
            }),
        ),
        (
            "reason",
            object(
                "Why it was missed; of an outcome that is overdue, why the latest attempt failed.",
                &json!({
                    "class": {
                        "type": "string",
                        "description": "The class of the failure: transient, throttled, permanent, unclear, timed_out, \
                                        crashed, expired, refuted, unconfirmed. A later version may add some.",
                    },
                    "message": text("What happened, for people."),
                    "group": maybe("The fingerprint that failures of the same cause share."),
                }),
            ),
        ),
        (
            "decision",
            object(
                "What an operator decided, where one did.",
                &json!({
                    "reason": maybe("Why."),
                    "by": maybe("The operator, as the caller said."),
                }),
            ),
        ),
        (
            "truncated",
            json!({
                "type": "array",
                "description": "JSON pointers into the data to what was cut.",
                "items": { "type": "string" },
            }),
        ),
    ];
    members.map(|(name, schema)| (name.to_owned(), schema)).into_iter().collect()
}

/// An object that may be null.
fn object(description: &str, properties: &Value) -> Value {
    let required: Vec<String> =
        properties.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default();
    json!({
        "type": ["object", "null"],
        "description": description,
        "additionalProperties": true,
        "required": required,
        "properties": properties,
    })
}

/// The data of a receipt as it may be.
pub fn example(verdict: Verdict) -> Data {
    // 2026-03-14T09:26:53Z
    const ACCEPTED: i64 = 1_773_480_413_000;
    const MINUTE: i64 = 60_000;
    let data = Data {
        event: Some(Cause {
            source: "/shop".to_owned(),
            id: "0198e2a4-7a52-7c1b-b2c5-6c2b5d9f1a10".to_owned(),
            kind: "order.completed.v1".to_owned(),
        }),
        tenant: Some("acme".to_owned()),
        route: "order.completed.v1:invoice.issue".to_owned(),
        queue: "invoices".to_owned(),
        kind: Some("invoice.issue".to_owned()),
        job: "mrtu2hq6wcbcvkoxmzkhxbs7da".to_owned(),
        job_path: "/v1/jobs/mrtu2hq6wcbcvkoxmzkhxbs7da".to_owned(),
        status: statuses(verdict).first().copied().unwrap_or_default(),
        expected_by: Some(Time(ACCEPTED + 15 * MINUTE)),
        accepted_at: Some(Time(ACCEPTED)),
        decided_at: verdict.decides().then_some(Time(ACCEPTED + MINUTE)),
        attempts: Some(1),
        ..Data::default()
    };
    let key = "invoices/acme/2026/1042.pdf".to_owned();
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned();
    let invoice = Evidence::new("object", [("key", key), ("sha256", sha256)]);
    let reply = Evidence::new("mail", [("reply", "250 2.0.0 Ok: queued as 4XyZ".to_owned())]);
    let reason = |class: &str, message: &str| {
        let group = Some("0123456789abcdef".to_owned());
        Some(Reason { class: class.to_owned(), message: message.to_owned(), group })
    };
    let decision =
        |reason: &str| Some(Decision { reason: Some(reason.to_owned()), by: Some("ada".to_owned()) });
    match verdict {
        Verdict::Achieved => Data {
            in_time: Some(true),
            summary: Some("invoice 1042 issued and mailed".to_owned()),
            evidence: vec![invoice, reply],
            ..data
        },
        Verdict::Partial => Data {
            summary: Some("invoice 1042 issued, not mailed".to_owned()),
            evidence: vec![invoice],
            parts: vec![
                Part::achieved("invoice", Evidence::new("object", [])),
                Part::missed("mail", "550 no such mailbox"),
            ],
            ..data
        },
        Verdict::Missed => Data {
            in_time: Some(false),
            reason: reason("permanent", "550 no such mailbox: ada@lindqvist.example"),
            ..data
        },
        Verdict::Overdue => {
            Data { in_time: Some(false), reason: reason("transient", "connection refused"), ..data }
        }
        Verdict::Cancelled => Data { decision: decision("the customer withdrew"), ..data },
        Verdict::Waived => Data { decision: decision("sent by letter"), ..data },
        Verdict::Reopened => Data { decision: decision("the mailbox exists now"), ..data },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The schema with closed objects, so that a member without a description is found.
    fn closed(mut schema: Value) -> Value {
        match &mut schema {
            Value::Object(members) => {
                if members.get("additionalProperties") == Some(&true.into()) {
                    members.insert("additionalProperties".to_owned(), false.into());
                }
                for member in members.values_mut() {
                    *member = closed(member.take());
                }
                schema
            }
            _ => schema,
        }
    }

    #[test]
    fn the_contracts_match_their_snapshots() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/outcomes");
        for verdict in Verdict::ALL {
            let path = folder.join(format!("{}.schema.json", verdict.event_type()));
            let text = serde_json::to_string_pretty(&schema(verdict)).unwrap() + "\n";
            if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                snapshot == text,
                "{} is not what the code says: run the test with UPDATE_SNAPSHOTS=1 and review the change",
                path.display()
            );
        }
    }

    #[test]
    fn an_example_keeps_the_contract_of_its_type_alone() {
        for verdict in Verdict::ALL {
            let data = serde_json::to_value(example(verdict)).unwrap();
            for other in Verdict::ALL {
                let open = jsonschema::options().should_validate_formats(true).build(&schema(other)).unwrap();
                let closed = jsonschema::validator_for(&closed(schema(other))).unwrap();
                assert_eq!(open.is_valid(&data), verdict == other, "{verdict} {other}");
                assert_eq!(closed.is_valid(&data), verdict == other, "{verdict} {other}");
            }
        }
    }

    #[test]
    fn everything_is_described() {
        for verdict in Verdict::ALL {
            for (name, member) in properties(verdict) {
                assert!(member["description"].is_string(), "{name}");
            }
        }
    }
}
