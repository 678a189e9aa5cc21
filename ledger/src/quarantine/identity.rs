//! The id of a message, by its content.
//!
//! The id must be the same when RabbitMQ delivers the message again. So it depends on the body and on
//! what the producer says to identify the message, and not on what a broker adds (`x-delivery-count`,
//! `x-death`) or what differs between two publications of one event (`timestamp`).

use std::{collections::BTreeMap, fmt, str::FromStr};

use data_encoding::{BASE32_NOPAD, Specification};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The prefix of headers with an event's attributes, before `:` or `_`.
const ATTRIBUTE: &str = "cloudEvents";
/// The bytes of the digest that an id keeps.
const BYTES: usize = 16;
/// The characters of an id.
const LENGTH: usize = 26;

/// The id of a message: 26 characters, derived from its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// A text that is not the id of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a message in quarantine: it has {LENGTH} characters of a-z and 2-7")]
pub struct BadId(String);

impl MessageId {
    /// The id of a message with this routing key, these properties and this body.
    pub fn of(routing_key: &str, properties: &BasicProperties, body: &[u8]) -> Self {
        let mut digest = Sha256::new();
        let mut part = |name: &str, value: &[u8]| {
            for bytes in [name.as_bytes(), value] {
                digest.update((bytes.len() as u64).to_be_bytes());
                digest.update(bytes);
            }
        };
        part("body", body);
        part("routing_key", routing_key.as_bytes());
        for (name, value) in [
            ("content_type", properties.content_type()),
            ("content_encoding", properties.content_encoding()),
            ("correlation_id", properties.correlation_id()),
            ("message_id", properties.message_id()),
            ("type", properties.kind()),
            ("app_id", properties.app_id()),
        ] {
            if let Some(value) = value {
                part(name, value.as_str().as_bytes());
            }
        }
        for (name, value) in attributes(properties.headers().as_ref()) {
            part(name, &value);
        }
        let digest = digest.finalize();
        Self(lower_base32().encode(digest.get(..BYTES).unwrap_or_default()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The headers that carry an event's attributes, in the order of their names.
fn attributes(headers: Option<&FieldTable>) -> BTreeMap<&str, Vec<u8>> {
    let bytes = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => text.as_bytes().to_vec(),
        AMQPValue::ByteArray(bytes) => bytes.as_slice().to_vec(),
        other => format!("{other:?}").into_bytes(),
    };
    let headers = headers.into_iter().flatten();
    let named = headers.filter(|(name, _)| name.as_str().starts_with(ATTRIBUTE));
    named.map(|(name, value)| (name.as_str(), bytes(value))).collect()
}

/// Base32 (RFC 4648) in lower case, as in the ids of jobs.
fn lower_base32() -> data_encoding::Encoding {
    let mut lower = Specification::new();
    lower.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    // The alphabet is a constant of the right length.
    lower.encoding().unwrap_or(BASE32_NOPAD)
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MessageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let is_one = text.len() == LENGTH && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if is_one { Ok(Self(text.to_owned())) } else { Err(BadId(text.chars().take(100).collect())) }
    }
}

impl TryFrom<String> for MessageId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the texts are short")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_headers(entries: &[(&str, &str)]) -> BasicProperties {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        BasicProperties::default().with_headers(table)
    }

    #[test]
    fn what_a_broker_adds_does_not_change_an_id() {
        let id = MessageId::of("a", &with_headers(&[("cloudEvents:id", "1")]), b"x");
        assert_eq!(id.as_str().len(), LENGTH);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        let again = with_headers(&[("x-delivery-count", "1"), ("cloudEvents:id", "1")]).with_timestamp(7);
        assert_eq!(MessageId::of("a", &again, b"x"), id);
        let other = with_headers(&[("cloudEvents:id", "2")]);
        for (key, properties, body) in
            [("b", &again, &b"x"[..]), ("a", &other, b"x"), ("a", &again, b"y"), ("a", &again, b"")]
        {
            assert_ne!(MessageId::of(key, properties, body), id);
        }
        assert_ne!(MessageId::of("a", &again.with_message_id("m".into()), b"x"), id);
    }

    proptest! {
        #[test]
        fn an_id_depends_on_where_parts_end(one in "[a-z]{0,9}", other in "[a-z]{0,9}", body in "[a-z]{0,9}") {
            let named = |name: &str, kind: &str| {
                let properties = BasicProperties::default();
                properties.with_message_id(name.into()).with_type(kind.into())
            };
            let id = MessageId::of("", &named(&one, &other), body.as_bytes());
            prop_assert_eq!(&MessageId::of("", &named(&one, &other), body.as_bytes()), &id);
            let is_same = one == other;
            let swapped = MessageId::of("", &named(&other, &one), body.as_bytes());
            prop_assert_eq!(swapped == id, is_same);
        }
    }
}
