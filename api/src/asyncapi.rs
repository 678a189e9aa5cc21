//! The AsyncAPI document: events in, receipts and the audit log out, generated from routes and contracts.
//!
//! `docs/asyncapi.json` is the committed snapshot of the shipped program's document, so review sees
//! a change of the public surface.

mod acts;
mod confirmations;
mod schemas;

use serde_json::{Map, Value, json};
use upshot_runtime::{
    Settings,
    amqp::{CONFIRMATIONS, EVENTS, HISTORY, OUTCOMES},
};
use upshot_shared::{Intake, Verdict, confirmation::Proved, contract, event::STRUCTURED, receipt};

/// The document of a program's settings as indented JSON, with a line feed at its end.
///
/// # Errors
/// When a contract cannot be used.
pub fn asyncapi(settings: &Settings) -> Result<String, contract::Error> {
    Ok(text(&Intake::new(settings.intake())?))
}

/// The document of an intake as indented JSON, with a line feed at its end.
pub fn text(intake: &Intake) -> String {
    // Texts, numbers and lists of them always serialise.
    let mut text = serde_json::to_string_pretty(&document(intake)).unwrap_or_default();
    text.push('\n');
    text
}

fn document(intake: &Intake) -> Value {
    let mut parts = Parts::default();
    for kind in intake.kinds() {
        let mut key = schemas::key(kind);
        while parts.messages.contains_key(&key) {
            key.push('_');
        }
        parts.event(intake, &key, kind);
    }
    parts.confirmations();
    parts.receipts();
    parts.acts();
    let Parts { channels, operations, messages, schemas } = parts;
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Upshot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Events and confirmations in, receipts and the audit log out, over RabbitMQ. Publish an event to the topic \
                 exchange `{EVENTS}`, and proof of what became of work to `{CONFIRMATIONS}`. \
                 What became of an event comes as receipts from the topic exchange `{OUTCOMES}`: bind a queue of your \
                 own. All messages are CloudEvents 1.0. A receipt may come more than once: its `source` and `id` \
                 identify it, and its `sequence` orders the receipts of a source."
            ),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": STRUCTURED,
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Parts {
    /// An event type that producers publish.
    fn event(&mut self, intake: &Intake, key: &str, kind: &str) {
        let routes = intake.routes(kind);
        let mut becomes: Vec<String> = routes
            .iter()
            .map(|route| {
                let within = humantime::format_duration(route.within);
                format!("`{}` in queue `{}`, expected within {within}", route.job, route.queue)
            })
            .collect();
        becomes.extend(intake.rules(kind).iter().map(|rule| {
            let (key, queue) = (&rule.key, &rule.queue);
            let outcome = match rule.outcome {
                Proved::Achieved => "achieved",
                Proved::Missed => "missed",
            };
            format!("the confirmation `{key}` ({outcome}) for queue `{queue}`")
        }));
        let data = match intake.contract(kind) {
            Some(contract) => {
                self.schemas.insert(key.to_owned(), schemas::component(key, contract));
                json!({ "$ref": format!("#/components/schemas/{key}") })
            }
            None => json!({ "description": "Any JSON: the type has no contract." }),
        };
        self.messages.insert(
            key.to_owned(),
            json!({
                "name": kind,
                "title": kind,
                "summary": format!("Becomes {}.", becomes.join("; ")),
                "contentType": STRUCTURED,
                "payload": schemas::event(kind, data),
            }),
        );
        self.channels.insert(
            key.to_owned(),
            json!({
                "address": kind,
                "description": format!(
                    "The routing key on the exchange `{EVENTS}`. Structured mode is described; binary mode \
                     (`cloudEvents:` headers) is accepted, too."
                ),
                "messages": { key: { "$ref": format!("#/components/messages/{key}") } },
                "bindings": { "amqp": routing_key(EVENTS) },
            }),
        );
        self.operations.insert(
            format!("receive-{key}"),
            json!({
                "action": "receive",
                "summary": format!("Upshot accepts {kind}."),
                "channel": { "$ref": format!("#/channels/{key}") },
                "messages": [{ "$ref": format!("#/channels/{key}/messages/{key}") }],
            }),
        );
    }

    /// The receipts of all routes.
    fn receipts(&mut self) {
        let mut of_channel = Map::new();
        let mut sent = Vec::new();
        for verdict in Verdict::ALL {
            let kind = verdict.event_type();
            let contract = receipt::schema(verdict);
            let summary = contract["description"].as_str().unwrap_or_default().to_owned();
            self.schemas.insert(kind.to_owned(), schemas::component(kind, &contract));
            let data = json!({ "$ref": format!("#/components/schemas/{kind}") });
            self.messages.insert(
                kind.to_owned(),
                json!({
                    "name": kind,
                    "title": kind,
                    "summary": summary,
                    "contentType": STRUCTURED,
                    "payload": schemas::receipt(kind, data),
                }),
            );
            of_channel.insert(kind.to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") }));
            sent.push(kind);
        }
        self.channels.insert(
            OUTCOMES.to_owned(),
            json!({
                "address": "{route}.{verdict}",
                "description": format!(
                    "The routing key on the exchange `{OUTCOMES}`. A name of a route may have dots: bind `#.missed` \
                     for a verdict on all routes, `ROUTE.*` for a route, `#` for all."
                ),
                "parameters": {
                    "route": { "description": "The name of the route. Other characters than letters, digits and `.:_-` are `_`." },
                    "verdict": { "enum": Verdict::ALL.map(Verdict::as_str), "description": "What the receipt tells." },
                },
                "messages": of_channel,
                "bindings": { "amqp": routing_key(OUTCOMES) },
            }),
        );
        self.channels.insert(
            HISTORY.to_owned(),
            json!({
                "address": HISTORY,
                "description": "A stream that keeps the receipts on disk: read it with `x-stream-offset`.",
                "messages": of_channel,
                "bindings": { "amqp": {
                    "is": "queue",
                    "queue": { "name": HISTORY, "durable": true, "exclusive": false, "autoDelete": false },
                    "bindingVersion": "0.3.0",
                } },
            }),
        );
        for (operation, channel) in [("send-receipts", OUTCOMES), ("keep-receipts", HISTORY)] {
            let messages: Vec<Value> = sent
                .iter()
                .map(|kind| json!({ "$ref": format!("#/channels/{channel}/messages/{kind}") }))
                .collect();
            self.operations.insert(
                operation.to_owned(),
                json!({
                    "action": "send",
                    "summary": "Upshot tells what became of an event.",
                    "channel": { "$ref": format!("#/channels/{channel}") },
                    "messages": messages,
                }),
            );
        }
    }
}

/// The binding of a channel whose address is a routing key.
fn routing_key(exchange: &str) -> Value {
    json!({
        "is": "routingKey",
        "exchange": { "name": exchange, "type": "topic", "durable": true, "autoDelete": false },
        "bindingVersion": "0.3.0",
    })
}
