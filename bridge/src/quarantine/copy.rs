//! The properties of a quarantined copy: all of the message's own, and Upshot's headers beside them.
//!
//! A few properties tell the broker to act, so they cannot stand where they were. The copy keeps each
//! of them in a header:
//!
//! | property | why | header |
//! |---|---|---|
//! | `user_id` | RabbitMQ closes the channel for a foreign one | `x-upshot-user-id` |
//! | `reply_to` | the same for a direct reply (`amq.rabbitmq.reply-to`) | `x-upshot-reply-to` |
//! | `expiration` | the copy would vanish | `x-upshot-expiration` |
//! | `delivery_mode` | the copy must be persistent | `x-upshot-delivery-mode` |
//! | `CC`, `BCC` | RabbitMQ would send further copies | `x-upshot-cc`, `x-upshot-bcc` |

use std::cmp::Reverse;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use upshot_ledger::quarantine::MessageId;
use upshot_runtime::amqp;

use crate::batch::{Arrived, Refused};

/// The bytes of a producer's headers that the copy keeps. Together with Upshot's headers they must
/// fit into one AMQP frame (128 KiB), or the broker closes the connection.
const MOST_HEADERS: usize = 32 << 10;
/// Names of left out headers that the copy tells.
const MOST_NAMES: usize = 8;
/// The beginning of the `reply_to` of a direct reply.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";

/// The properties of the copy of a message.
#[expect(clippy::disallowed_methods, reason = "what came as a short string is one")]
pub(super) fn properties(arrived: &Arrived, refused: &Refused, id: &MessageId) -> BasicProperties {
    let from = &arrived.properties;
    let mut properties = BasicProperties::default();
    if let Some(value) = from.content_type() {
        properties = properties.with_content_type(value.clone());
    }
    if let Some(value) = from.content_encoding() {
        properties = properties.with_content_encoding(value.clone());
    }
    if let Some(value) = from.priority() {
        properties = properties.with_priority(*value);
    }
    if let Some(value) = from.correlation_id() {
        properties = properties.with_correlation_id(value.clone());
    }
    if let Some(value) = from.reply_to().as_ref().filter(|to| !is_direct_reply(to)) {
        properties = properties.with_reply_to(value.clone());
    }
    if let Some(value) = from.message_id() {
        properties = properties.with_message_id(value.clone());
    }
    if let Some(value) = from.timestamp() {
        properties = properties.with_timestamp(*value);
    }
    if let Some(value) = from.kind() {
        properties = properties.with_type(value.clone());
    }
    if let Some(value) = from.app_id() {
        properties = properties.with_app_id(value.clone());
    }
    if let Some(value) = from.cluster_id() {
        properties = properties.with_cluster_id(value.clone());
    }
    let mut headers = of_producer(from.headers().as_ref());
    let mut add = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if let Some(user) = from.user_id() {
        add(amqp::HEADER_USER, user.as_str());
    }
    if let Some(to) = from.reply_to().as_ref().filter(|to| is_direct_reply(to)) {
        add(amqp::HEADER_REPLY_TO, to.as_str());
    }
    if let Some(after) = from.expiration() {
        add(amqp::HEADER_EXPIRATION, after.as_str());
    }
    if let Some(mode) = from.delivery_mode().filter(|mode| *mode != 2) {
        add(amqp::HEADER_DELIVERY_MODE, &mode.to_string());
    }
    let Refused { rejection, jobs } = refused;
    add(amqp::HEADER_ID, id.as_str());
    add(amqp::HEADER_REASON, rejection.reason.as_str());
    add(amqp::HEADER_PLACE, &rejection.place);
    add(amqp::HEADER_DETAIL, &rejection.detail);
    add(amqp::HEADER_EXCHANGE, arrived.exchange.as_str());
    add(amqp::HEADER_ROUTING_KEY, &arrived.routing_key);
    if !jobs.is_empty() {
        let jobs: Vec<String> = jobs.iter().map(|(queue, id)| format!("{queue}/{id}")).collect();
        add(amqp::HEADER_JOBS, &jobs.join(" "));
    }
    properties.with_headers(headers)
}

fn is_direct_reply(to: &ShortString) -> bool {
    to.as_str().starts_with(DIRECT_REPLY)
}

/// The producer's headers, as many as fit. Headers with attributes of the event stay longest, small
/// ones before large ones.
fn of_producer(from: Option<&FieldTable>) -> FieldTable {
    let mut headers: Vec<(&str, &AMQPValue)> = from
        .into_iter()
        .flatten()
        .map(|(name, value)| match name.as_str() {
            "CC" => (amqp::HEADER_CC, value),
            "BCC" => (amqp::HEADER_BCC, value),
            name => (name, value),
        })
        .collect();
    headers.sort_by_key(|(name, value)| (name.starts_with("cloudEvents"), Reverse(of_entry(name, value))));
    let mut size: usize = headers.iter().map(|(name, value)| of_entry(name, value)).sum();
    let mut dropped = Vec::new();
    let mut kept = FieldTable::default();
    for (name, value) in headers {
        if size > MOST_HEADERS {
            size -= of_entry(name, value);
            dropped.push(name);
        } else {
            kept.insert(name.into(), value.clone());
        }
    }
    if !dropped.is_empty() {
        let names = dropped.iter().take(MOST_NAMES).map(|name| format!("`{name}`"));
        let names = names.collect::<Vec<_>>().join(", ");
        let more = dropped.len().saturating_sub(MOST_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let said = format!("the producer's headers were larger than 32 KiB: {names}{more} left out");
        kept.insert(amqp::HEADER_DROPPED.into(), AMQPValue::LongString(said.into()));
    }
    kept
}

/// An upper bound for the bytes of an entry on the wire.
fn of_entry(name: &str, value: &AMQPValue) -> usize {
    1 + name.len() + size(value)
}

/// An upper bound for the bytes of a value on the wire.
fn size(value: &AMQPValue) -> usize {
    8 + match value {
        AMQPValue::LongString(text) => text.as_bytes().len(),
        AMQPValue::ShortString(text) => text.as_str().len(),
        AMQPValue::ByteArray(bytes) => bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(size).sum(),
        AMQPValue::FieldTable(table) => {
            table.into_iter().map(|(name, value)| of_entry(name.as_str(), value)).sum()
        }
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, usize)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, bytes) in entries {
            table.insert((*name).into(), AMQPValue::LongString("x".repeat(*bytes).into()));
        }
        table
    }

    fn names(table: &FieldTable) -> Vec<&str> {
        table.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn large_headers_are_left_out_and_named_and_attributes_stay() {
        let headers = table(&[("a", 10), ("large", 40_000), ("cloudEvents:id", 20_000), ("b", 10_000)]);
        let kept = of_producer(Some(&headers));
        assert_eq!(names(&kept), ["a", "b", "cloudEvents:id", amqp::HEADER_DROPPED]);
        let AMQPValue::LongString(said) = &kept.inner()[amqp::HEADER_DROPPED] else { panic!("no text") };
        assert!(said.to_string().contains("`large` left out"), "{said}");
        let all = table(&[("a", 30_000)]);
        assert_eq!(of_producer(Some(&all)), all);
    }

    #[test]
    fn copies_to_others_are_noted_and_not_asked_for() {
        let kept = of_producer(Some(&table(&[("CC", 3), ("BCC", 3), ("cc", 3)])));
        assert_eq!(names(&kept), ["cc", amqp::HEADER_BCC, amqp::HEADER_CC]);
    }

    #[test]
    fn many_large_headers_cannot_fill_a_frame() {
        let entries: Vec<(String, usize)> = (0..2_000).map(|n| (format!("{n:0>250}"), 100)).collect();
        let entries: Vec<(&str, usize)> =
            entries.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let kept = of_producer(Some(&table(&entries)));
        let bytes: usize = kept.into_iter().map(|(name, value)| of_entry(name.as_str(), value)).sum();
        assert!(bytes < MOST_HEADERS + 4_096, "{bytes}");
    }
}
