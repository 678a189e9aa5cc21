//! What an entry of the audit log has of a request.
//!
//! Of a body, an entry has the members that are named here. A member that a later operation takes is
//! left out until it is named here, so no secret gets into the log because somebody forgot to exclude
//! it. Arguments are told by their digest, payloads by their size.

use axum::{
    RequestExt,
    extract::{RawPathParams, Request},
    http::{HeaderMap, HeaderName, header},
};
use serde_json::{Map, Value, json, value::RawValue};
use upshot_access::acts::{Intent, Origin, bounds::brief};
use url::form_urlencoded;

use super::changed::digest;
use crate::{layers::RequestId, serve::Peer};

/// The members of bodies that an entry has.
const KEPT: [&str; 52] = [
    "act",
    "approve",
    "at",
    "burst",
    "by",
    "catch_up",
    "catch_up_most",
    "concurrency",
    "condition",
    "confirm",
    "cron",
    "delay",
    "dry_run",
    "every",
    "expect_version",
    "expires_in",
    "filter",
    "group",
    "id",
    "jitter",
    "job",
    "key",
    "kind",
    "lifetime",
    "limit",
    "name",
    "note",
    "older_than",
    "outcome",
    "overlap",
    "owner",
    "pace",
    "priority",
    "queue",
    "queues",
    "rate",
    "repeat_steps",
    "rights",
    "role",
    "route",
    "source",
    "sources",
    "stop_rule",
    "subject",
    "target",
    "tenant",
    "tenants",
    "version",
    "weight",
    "within",
    "without",
    "zone",
];
/// The member that says why.
const REASON: &str = "reason";
/// The members that an entry has as a digest.
const ARGS: [&str; 2] = ["args", "arguments"];
/// The members that an entry has as their size.
const PAYLOADS: [&str; 4] = ["payload", "configuration", "evidence", "schedules"];
/// How credentials begin. A client may put one into a place that is not secret.
const CREDENTIALS: [&str; 3] = ["upk_", "upl_", "upb_"];
/// The client's chain of proxies.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What the head of a request says. Of its parameters, an entry has those that the operation knows.
pub(super) async fn of_head(request: &mut Request, known: &[String]) -> Intent {
    let target = match request.extract_parts::<RawPathParams>().await {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), masked(value))).collect(),
        Err(_) => Default::default(),
    };
    let query = request.uri().query().unwrap_or_default();
    let parameters = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| known.iter().any(|known| known == name))
        .map(|(name, value)| (name.into_owned(), masked(&value)))
        .collect();
    let text = |headers: &HeaderMap, name: HeaderName| {
        headers.get(name).map(|value| masked(&String::from_utf8_lossy(value.as_bytes())))
    };
    let origin = Origin {
        address: request.extensions().get::<Peer>().map(|peer| peer.0.to_string()),
        forwarded_for: text(request.headers(), FORWARDED),
        agent: text(request.headers(), header::USER_AGENT),
    };
    let id = request.extensions().get::<RequestId>();
    let request_id = id.map(|id| masked(&id.0)).unwrap_or_default();
    Intent { origin, target, parameters, request_id, ..Intent::default() }
}

/// What a body says. A body that cannot be read says nothing; its handler refuses it.
pub(super) fn of_body(body: &[u8], intent: &mut Intent) {
    // The bytes of an argument stay as they were written.
    let Ok(Members(members)) = serde_json::from_slice(body) else { return };
    let mut asked = Map::new();
    for (name, raw) in members {
        let value = || serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
        if name == REASON {
            intent.reason = value().as_str().map(masked);
        } else if ARGS.contains(&name.as_str()) {
            let bytes = raw.get().as_bytes();
            asked.insert(name, json!({"digest": digest(bytes), "bytes": bytes.len()}));
        } else if PAYLOADS.contains(&name.as_str()) {
            asked.insert(name, json!({"bytes": raw.get().len()}));
        } else if KEPT.contains(&name.as_str()) {
            asked.insert(name, masked_value(brief(&value())));
        }
    }
    intent.asked = (!asked.is_empty()).then_some(Value::Object(asked));
}

/// The members of an object, as they were written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::collections::BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)
            .map(|members| Self(members.into_iter().collect()))
    }
}

/// A text in which no credential is left.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len().min(1_024));
    let mut rest = text;
    loop {
        let found = CREDENTIALS.iter().filter_map(|prefix| rest.find(prefix)).min();
        let Some((before, from)) = found.and_then(|at| rest.split_at_checked(at)) else {
            masked.push_str(rest);
            return masked;
        };
        masked.push_str(before);
        let end = from.find(|char: char| !char.is_ascii_alphanumeric() && !"_-.".contains(char));
        let (credential, after) = from.split_at_checked(end.unwrap_or(from.len())).unwrap_or((from, ""));
        masked.push_str(credential.get(..4).unwrap_or_default());
        masked.push('…');
        rest = after;
    }
}

fn masked_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(&text)),
        Value::Array(values) => values.into_iter().map(masked_value).collect(),
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (masked(&name), masked_value(value))).collect(),
        ),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(body: &Value) -> Intent {
        let mut intent = Intent::default();
        of_body(body.to_string().as_bytes(), &mut intent);
        intent
    }

    #[test]
    fn a_body_is_told_without_arguments_payloads_and_secrets() {
        let intent = asked(&json!({
            "reason": "the customer called", "repeat_steps": ["render"], "args": {"name": "MARKER"},
            "payload": "MARKER", "token": "MARKER", "password": "MARKER", "code": "MARKER", "MARKER": 1,
        }));
        assert_eq!(intent.reason.as_deref(), Some("the customer called"));
        let asked = intent.asked.unwrap();
        assert!(!asked.to_string().contains("MARKER"), "{asked}");
        assert_eq!(asked["repeat_steps"], json!(["render"]));
        assert_eq!(asked["payload"], json!({"bytes": 8}));
        assert_eq!(asked["args"]["bytes"], 17);
        assert_eq!(asked["args"]["digest"], digest(br#"{"name":"MARKER"}"#));
    }

    #[test]
    fn a_body_that_cannot_be_read_says_nothing() {
        for body in [&b"{"[..], b"[]", b"", b"\"MARKER\"", b"\xff"] {
            let mut intent = Intent::default();
            of_body(body, &mut intent);
            assert_eq!(intent, Intent::default());
        }
    }

    proptest! {
        #[test]
        fn no_credential_is_left_in_a_text(
            before in "[a-z /]{0,9}", after in "[ /?&=].{0,9}",
            prefix in prop::sample::select(&CREDENTIALS[..]), secret in "[0-9a-f]{12}_[0-9a-f]{20,64}",
        ) {
            let text = masked(&format!("{before}{prefix}{secret}{after}"));
            prop_assert!(!text.contains(&secret[..14]), "{}", text);
            prop_assert!(text.starts_with(&before) && text.contains(prefix));
        }

        #[test]
        fn other_texts_stay_as_they_are(text in "\\PC{0,60}") {
            prop_assume!(CREDENTIALS.iter().all(|prefix| !text.contains(prefix)));
            prop_assert_eq!(masked(&text), text);
        }
    }
}
