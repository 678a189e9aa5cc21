//! The part of the document about the audit log.

use serde_json::{Map, Value, json};
use upshot_access::{
    Right,
    acts::{Ended, tail::KINDS},
};
use upshot_runtime::amqp::AUDIT;
use upshot_shared::event::STRUCTURED;

use super::{Parts, schemas};

/// The component of an act.
const ACT: &str = "upshot.act";

impl Parts {
    /// The entries of the audit log.
    pub(super) fn acts(&mut self) {
        self.schemas.insert(ACT.to_owned(), act());
        let (mut of_channel, mut sent) = (Map::new(), Vec::new());
        for (kind, summary) in KINDS {
            let data = json!({ "$ref": format!("#/components/schemas/{ACT}") });
            self.messages.insert(
                kind.to_owned(),
                json!({
                    "name": kind,
                    "title": kind,
                    "summary": summary,
                    "contentType": STRUCTURED,
                    "payload": schemas::entry(kind, data),
                }),
            );
            of_channel.insert(kind.to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") }));
            sent.push(json!({ "$ref": format!("#/channels/{AUDIT}/messages/{kind}") }));
        }
        self.channels.insert(
            AUDIT.to_owned(),
            json!({
                "address": AUDIT,
                "description": format!(
                    "A stream that keeps the audit log on disk: read it with `x-stream-offset`. For a copy of your \
                     own, bind a queue to the fanout exchange `{AUDIT}`. An entry may come more than once: its \
                     `source` and `id` identify it."
                ),
                "messages": of_channel,
                "bindings": { "amqp": {
                    "is": "queue",
                    "queue": { "name": AUDIT, "durable": true, "exclusive": false, "autoDelete": false },
                    "bindingVersion": "0.3.0",
                } },
            }),
        );
        self.operations.insert(
            "send-acts".to_owned(),
            json!({
                "action": "send",
                "summary": "Upshot tells what principals do.",
                "channel": { "$ref": format!("#/channels/{AUDIT}") },
                "messages": sent,
            }),
        );
    }
}

/// The schema of an act.
fn act() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let time =
        |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    let any = |description: &str| json!({ "description": description });
    let texts = |description: &str| json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": description });
    let rights = Right::ALL.map(Right::as_str);
    let results: Vec<&str> =
        Ended::ALL.into_iter().filter(|ended| *ended != Ended::Unknown).map(Ended::as_str).collect();
    json!({
        "type": "object",
        "required": ["id", "at", "result", "origin"],
        "properties": {
            "id": text("Identifies the act: the same in its intent and in its result."),
            "at": time("When it began."),
            "ended_at": time("When it ended."),
            "result": {
                "enum": results,
                "description": "How it ended; `pending` in an intent.",
            },
            "by": text("The name of the principal, for people."),
            "principal": {
                "type": "object",
                "required": ["kind"],
                "properties": { "kind": { "enum": ["local", "token", "person", "link", "first_administrator"] } },
                "description": "The principal, with its ids; missing where nothing identified it.",
            },
            "origin": {
                "type": "object",
                "properties": {
                    "address": text("The address of the client, or of the proxy before the API."),
                    "forwarded_for": text("What `x-forwarded-for` said, which any client can write."),
                    "agent": text("What `user-agent` said, which any client can write."),
                },
            },
            "right": { "enum": rights, "description": "The right that the operation needs." },
            "operation": text("The operation, by its id in the OpenAPI document."),
            "target": texts("What it was about: a job (`id`), a queue, a subject, a tenant, a token."),
            "parameters": texts("The parameters of the request."),
            "asked": any("What the body asked for, without secrets, arguments and payloads."),
            "reason": text("The reason that the principal gave."),
            "request_id": text("The id of the request, as in its answer and in the log."),
            "status": { "type": "integer", "description": "The HTTP status of the answer." },
            "problem": text("The code of the problem, if the answer is one."),
            "before": any("What was there before, as far as the operation knows."),
            "after": any("What is there after it, as far as the operation knows."),
            "suppressed": {
                "type": "object",
                "properties": { "refusals": { "type": "integer" }, "addresses": { "type": "object" } },
                "description": "How many refusals were only counted, and from which addresses.",
            },
            "truncated": {
                "type": "array",
                "items": { "type": "string" },
                "description": "What was cut, because an entry has a largest size.",
            },
        },
    })
}
