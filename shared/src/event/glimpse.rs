//! What can be read of a message that is not a valid event, for people who look for it.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Envelope, Header, attribute_of, scalar, text};

/// A larger body is not parsed: nothing about it is worth that time.
const MOST_BYTES: usize = 1 << 20;

/// The attributes of a message, as far as each one can be read alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// The attribute `id`.
    pub id: Option<String>,
    /// The attribute `source`.
    pub source: Option<String>,
    /// The attribute `type`.
    pub kind: Option<String>,
    /// The attribute `subject`.
    pub subject: Option<String>,
}

impl Glimpse {
    /// Reads what can be read: headers with attributes, or else the members of a JSON body. The
    /// content type does not matter, because a wrong one is a usual mistake.
    pub fn of(envelope: &Envelope, body: &Bytes) -> Self {
        let mut attributes: BTreeMap<String, Header> = envelope
            .headers
            .iter()
            .filter_map(|(name, value)| Some((attribute_of(name)?.to_owned(), value.clone())))
            .collect();
        if attributes.is_empty() && body.len() <= MOST_BYTES {
            attributes = members(body);
        }
        // An attribute that is missing or invalid is not known.
        let mut known = |name: &str| text(&mut attributes, name).ok().flatten();
        Self { id: known("id"), source: known("source"), kind: known("type"), subject: known("subject") }
    }
}

fn members(body: &Bytes) -> BTreeMap<String, Header> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    let read = |(name, value): (Cow<'_, str>, &RawValue)| {
        let value = scalar(&name, value.get()).ok().flatten()?;
        Some((name.into_owned(), value))
    };
    members.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Event, STRUCTURED};

    fn glimpse(body: &str) -> Glimpse {
        Glimpse::of(&Envelope::default(), &Bytes::from(body.to_owned()))
    }

    #[test]
    fn each_attribute_is_read_alone() {
        let seen = glimpse(r#"{"id": 7, "source": "", "type": "t.v1", "subject": {"a": 1}, "data": [1]}"#);
        assert_eq!((seen.id.as_deref(), seen.kind.as_deref()), (Some("7"), Some("t.v1")));
        assert_eq!((seen.source, seen.subject), (None, None));
        for body in ["", "[1]", r#"{"id": "1""#, "{\"id\": \"a\u{7}\"}"] {
            assert_eq!(glimpse(body), Glimpse::default(), "{body}");
        }
        let headers = BTreeMap::from([("cloudEvents_type".to_owned(), Header::from("t.v1"))]);
        let envelope = Envelope { headers, ..Envelope::default() };
        let seen = Glimpse::of(&envelope, &Bytes::from_static(br#"{"id": "data"}"#));
        assert_eq!((seen.kind.as_deref(), seen.id), (Some("t.v1"), None));
    }

    proptest! {
        #[test]
        fn a_valid_event_is_seen_as_it_is(id in "[a-z]{1,9}", subject in prop::option::of("[a-z]{1,9}"), bytes in any::<Vec<u8>>()) {
            let event = serde_json::json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "subject": subject});
            let body = Bytes::from(event.to_string());
            let envelope = Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() };
            let event = Event::decode(&envelope, &body).unwrap();
            let seen = Glimpse::of(&envelope, &body);
            prop_assert_eq!((seen.id, seen.source), (Some(event.id), Some(event.source)));
            prop_assert_eq!((seen.kind, seen.subject), (Some(event.kind), event.subject));
            // It must not panic, whatever is there.
            let _ = Glimpse::of(&envelope, &Bytes::from(bytes));
        }
    }
}
