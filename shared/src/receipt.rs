//! Receipts: the events that tell producers what became of their events.
//!
//! A receipt is a CloudEvent in structured mode: its body has everything, so a consumer in any
//! language, and a reader of the history, parses one JSON document.
//!
//! - `source` and `id` together identify the receipt. A receipt that is published again has the
//!   same id.
//! - `sequence` orders receipts of one source. It is compared as text.
//! - `data` never has arguments of a job, and its size is bounded: [`Data::truncated`] names what
//!   was cut.

mod bounds;
mod data;
mod schema;
mod verdict;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

pub use data::{Cause, Data, Decision, Reason, Time};
pub use schema::{example, schema};
pub use verdict::Verdict;

/// The longest part of a routing key that names the route, in bytes. A key has at most 255.
const MAX_KEY: usize = 240;
/// The characters that a path segment may contain unescaped (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A receipt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Receipt {
    specversion: &'static str,
    /// Identifies it within its source.
    pub id: String,
    /// The queue that it comes from; see [`source`].
    pub source: String,
    /// The event type; see [`Verdict::event_type`].
    #[serde(rename = "type")]
    kind: &'static str,
    /// The business key that people know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    pub time: Time,
    datacontenttype: &'static str,
    /// Orders the receipts of a source, as text (CloudEvents' extension `sequence`).
    pub sequence: String,
    /// The tenant of the causing event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The trace context of the causing event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened.
    pub data: Data,
    #[serde(skip)]
    verdict: Verdict,
}

impl Receipt {
    /// A receipt without the attributes that are optional. `at` is UTC ms.
    pub fn new(verdict: Verdict, id: String, source: String, sequence: String, at: i64, data: Data) -> Self {
        Self {
            specversion: "1.0",
            id,
            source,
            kind: verdict.event_type(),
            subject: None,
            time: Time(at),
            datacontenttype: "application/json",
            sequence,
            tenant: None,
            traceparent: None,
            data: data.bounded(),
            verdict,
        }
    }

    /// The same receipt with these attributes. A control character, which an attribute cannot have,
    /// becomes a replacement character.
    #[must_use]
    pub fn with_attributes(
        self,
        subject: Option<&str>,
        tenant: Option<&str>,
        traceparent: Option<&str>,
    ) -> Self {
        let clean = |text: &str| text.replace(char::is_control, "\u{fffd}");
        let traceparent = traceparent.filter(|text| crate::event::is_traceparent(text));
        Self {
            subject: subject.filter(|text| !text.is_empty()).map(clean),
            tenant: tenant.filter(|text| !text.is_empty()).map(clean),
            traceparent: traceparent.map(str::to_owned),
            ..self
        }
    }

    /// What it tells.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Its event type.
    pub fn event_type(&self) -> &'static str {
        self.kind
    }

    /// Its routing key.
    pub fn routing_key(&self) -> String {
        routing_key(&self.data.route, self.verdict)
    }

    /// Its body, in structured mode.
    pub fn body(&self) -> Vec<u8> {
        // Texts, numbers and lists of them always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The routing key of receipts of a route: `<route>.<verdict>`. A route's name may have dots, so a
/// consumer binds `#.missed` for a verdict on all routes, and `<route>.*` for a route. What a
/// program's route cannot be named becomes `_`.
pub fn routing_key(route: &str, verdict: Verdict) -> String {
    let is_kept = |char: char| char.is_ascii_alphanumeric() || ".:_-".contains(char);
    let mut key: String = route.chars().map(|char| if is_kept(char) { char } else { '_' }).collect();
    key.truncate(MAX_KEY);
    if key.is_empty() {
        key.push('_');
    }
    format!("{key}.{verdict}")
}

/// The source of the receipts of a queue. `prefix` names the installation.
pub fn source(prefix: &str, queue: &str) -> String {
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    format!("/upshot/{}/{}", segment(prefix), segment(queue))
}

/// The `sequence` of the `n`-th receipt of an entry of a queue's outbox. The id of an entry has two
/// numbers that only grow.
pub fn sequence(entry: &str, n: usize) -> String {
    let (ms, number) = entry.split_once('-').unwrap_or((entry, "0"));
    format!("{ms:0>15}-{number:0>6}-{n:0>6}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_consumer_can_bind_by_verdict_and_by_route() {
        let key = |route| routing_key(route, Verdict::Missed);
        assert_eq!(key("order.completed.v1:invoice.issue"), "order.completed.v1:invoice.issue.missed");
        assert_eq!(key("a b*#é\n"), "a_b____.missed");
        assert_eq!(key(""), "_.missed");
        assert!(key(&"x".repeat(4_000)).len() < 256);
    }

    #[test]
    fn a_source_is_a_uri_reference() {
        assert_eq!(source("upshot", "invoices"), "/upshot/upshot/invoices");
        assert_eq!(source("a/b c", "q"), "/upshot/a%2Fb%20c/q");
    }

    proptest! {
        #[test]
        fn sequences_are_ordered_as_entries_are(
            one in (0u64..5_000_000_000_000, 0u64..999_999, 0usize..999_999),
            other in (0u64..5_000_000_000_000, 0u64..999_999, 0usize..999_999),
        ) {
            let text = |(ms, number, n): (u64, u64, usize)| sequence(&format!("{ms}-{number}"), n);
            prop_assert_eq!(text(one).cmp(&text(other)), one.cmp(&other));
        }

        #[test]
        fn whatever_a_text_is_the_receipt_is_json_of_bounded_size(
            text in prop_oneof![any::<String>(), (".", 1usize..300_000).prop_map(|(text, n)| text.repeat(n))],
            facts in 0usize..40,
        ) {
            let mut data = example(Verdict::Missed);
            data.summary = Some(text.clone());
            data.reason = Some(Reason { class: "transient".to_owned(), message: text.clone(), group: None });
            data.decision = Some(Decision { reason: Some(text.clone()), by: Some(text.clone()) });
            data.parts = (0..facts).map(|n| crate::Part::missed(format!("{n}{text}"), &text)).collect();
            data.evidence = (0..facts).map(|n| crate::Evidence::new("object", [("key", format!("{n}{text}"))])).collect();
            let receipt = Receipt::new(Verdict::Missed, "1".into(), "/a".into(), "1".into(), 0, data)
                .with_attributes(Some(text.get(..500).unwrap_or("x")), Some("t"), Some("nonsense"));
            let body = receipt.body();
            prop_assert!(body.len() < 64 << 10, "{} bytes", body.len());
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(&read["traceparent"], &serde_json::Value::Null);
            let is_cut = !read["data"]["truncated"].as_array().unwrap().is_empty();
            prop_assert!(is_cut || text.len() <= 2_048);
            prop_assert!(read["subject"].as_str().is_none_or(|text| !text.contains(char::is_control)));
        }
    }
}
