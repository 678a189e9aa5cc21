//! The confirmations that Upshot accepts.

use serde_json::json;
use upshot_runtime::amqp::CONFIRMATIONS;
use upshot_shared::confirmation;

use super::{Parts, routing_key, schemas};

impl Parts {
    /// The exchange of confirmations.
    pub(super) fn confirmations(&mut self) {
        let kind = confirmation::TYPE;
        self.schemas.insert(kind.to_owned(), schemas::component(kind, &confirmation::schema()));
        let data = json!({ "$ref": format!("#/components/schemas/{kind}") });
        let plain = format!("{kind}.plain");
        let message = |name: &str, content_type: &str, payload| {
            json!({
                "name": name,
                "title": name,
                "summary": "Proof from outside of what became of work that awaits it.",
                "contentType": content_type,
                "payload": payload,
            })
        };
        let event = message(kind, super::STRUCTURED, schemas::event(kind, data.clone()));
        self.messages.insert(kind.to_owned(), event);
        self.messages.insert(plain.clone(), message(&plain, "application/json", data));
        let names = [kind, &plain];
        let of_channel: serde_json::Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/messages/{name}") })))
            .collect();
        self.channels.insert(
            CONFIRMATIONS.to_owned(),
            json!({
                "address": "confirmation",
                "description": format!(
                    "A routing key on the exchange `{CONFIRMATIONS}`; any other will do. The message is a CloudEvent \
                     in either mode, or the body alone as JSON. A message that cannot be used goes to quarantine."
                ),
                "messages": of_channel,
                "bindings": { "amqp": routing_key(CONFIRMATIONS) },
            }),
        );
        let messages: Vec<_> = names
            .iter()
            .map(|name| json!({ "$ref": format!("#/channels/{CONFIRMATIONS}/messages/{name}") }))
            .collect();
        self.operations.insert(
            "receive-confirmations".to_owned(),
            json!({
                "action": "receive",
                "summary": "Upshot accepts a confirmation.",
                "channel": { "$ref": format!("#/channels/{CONFIRMATIONS}") },
                "messages": messages,
            }),
        );
    }
}
