//! A row: what is known of a message in quarantine, and its stored form.
//!
//! The stored form is `times last_seen reason facts`, divided by blanks; the facts are JSON. The
//! script reads and changes the front without parsing the facts.

use serde::{Deserialize, Serialize};

use super::identity::MessageId;

/// The reason of a row that another program damaged.
pub const DAMAGED: &str = "damaged";
/// Bytes of the detail that a row keeps. The detail quotes the producer's values, which may be
/// personal, so a row keeps the beginning only. The quarantined message has all of it.
pub const MOST_DETAIL: usize = 300;
/// Bytes of the place that a row keeps.
pub const MOST_PLACE: usize = 300;
/// Bytes of other texts that a row keeps.
pub const MOST_TEXT: usize = 256;

/// What is known of a message. Every text is of the producer, or quotes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// A JSON pointer to what is wrong; empty for the message as a whole.
    #[serde(default)]
    pub place: String,
    /// What is wrong, for people.
    #[serde(default)]
    pub detail: String,
    /// The size of the body, in bytes.
    #[serde(default)]
    pub size: u64,
    /// The routing key with which the message came.
    #[serde(default)]
    pub routing_key: String,
    /// The event's type, if it could be read.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The event's source, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The event's id, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The event's subject, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Facts {
    /// The facts with texts short enough for a row.
    #[must_use]
    pub fn shortened(self) -> Self {
        let optional = |text: Option<String>| text.map(|text| cut(text, MOST_TEXT));
        Self {
            place: cut(self.place, MOST_PLACE),
            detail: cut(self.detail, MOST_DETAIL),
            size: self.size,
            routing_key: cut(self.routing_key, MOST_TEXT),
            kind: optional(self.kind),
            source: optional(self.source),
            event_id: optional(self.event_id),
            subject: optional(self.subject),
        }
    }
}

/// At most this many bytes, cut at a character.
fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    format!("{}…", text.get(..text.floor_char_boundary(most)).unwrap_or_default())
}

/// A row about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The message.
    pub id: MessageId,
    /// The code of the reason; see `upshot_shared::Reason`. [`DAMAGED`] if the row cannot be read. A
    /// later version may have further codes.
    pub reason: String,
    /// When the message first came, UTC ms.
    pub first_seen: i64,
    /// When the message last came, UTC ms.
    pub last_seen: i64,
    /// How often the message came.
    pub times: u64,
    /// What is known of it.
    pub facts: Facts,
}

impl Row {
    /// Reads a stored row. A row that cannot be read has the reason [`DAMAGED`].
    pub(super) fn read(id: MessageId, score: i64, stored: &str) -> Self {
        Self::whole(&id, score, stored).unwrap_or_else(|| Self {
            id,
            reason: DAMAGED.to_owned(),
            first_seen: score / 1000,
            last_seen: score / 1000,
            times: 0,
            facts: Facts {
                detail: "the row cannot be read: another program changed it. The message is in RabbitMQ"
                    .to_owned(),
                ..Facts::default()
            },
        })
    }

    fn whole(id: &MessageId, score: i64, stored: &str) -> Option<Self> {
        let mut parts = stored.splitn(4, ' ');
        let (times, last_seen) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let reason = parts.next().filter(|reason| !reason.is_empty())?.to_owned();
        let facts = serde_json::from_str(parts.next()?).ok()?;
        Some(Self { id: id.clone(), reason, first_seen: score / 1000, last_seen, times, facts })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn facts() -> impl Strategy<Value = Facts> {
        let optional = || prop::option::of(any::<String>());
        let known = (optional(), optional(), optional(), optional());
        (any::<String>(), any::<String>(), any::<u64>(), any::<String>(), known).prop_map(
            |(place, detail, size, routing_key, (kind, source, event_id, subject))| Facts {
                place,
                detail,
                size,
                routing_key,
                kind,
                source,
                event_id,
                subject,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read(facts in facts(), times in any::<u64>(), last in any::<i64>(), first in 0i64..1 << 50) {
            let stored = format!("{times} {last} unknown_type {}", serde_json::to_string(&facts).unwrap());
            let row = Row::read(ID.parse().unwrap(), first * 1000 + 999, &stored);
            prop_assert_eq!((row.times, row.last_seen, row.first_seen), (times, last, first));
            prop_assert_eq!((row.reason.as_str(), row.facts), ("unknown_type", facts));
        }

        #[test]
        fn a_damaged_row_is_named_so(stored in any::<String>()) {
            let row = Row::read(ID.parse().unwrap(), 5_000, &format!("x{stored}"));
            prop_assert_eq!((row.reason.as_str(), row.first_seen), (DAMAGED, 5));
        }

        #[test]
        fn a_row_is_small(facts in facts()) {
            let long = Facts { detail: facts.detail.repeat(100), ..facts };
            let short = long.clone().shortened();
            prop_assert!(short.detail.len() <= MOST_DETAIL + 3 && short.place.len() <= MOST_PLACE + 3);
            prop_assert_eq!(short.shortened().size, long.size);
        }
    }
}
