//! Decodes a message to the exchange `upshot.confirmations`.
//!
//! The body is the confirmation, or the data of a CloudEvent of the type [`TYPE`] in either mode. The
//! CloudEvent's source and id identify the confirmation unless the body has an id.

use bytes::Bytes;
use serde_json::{Map, Value};
use upshot_queue::QueueName;

use super::{Proof, body};
use crate::{
    event::{Envelope, Event},
    json,
    rejection::{Reason, Rejection},
};

/// The type of a CloudEvent that is a confirmation.
pub const TYPE: &str = "upshot.confirmation.v1";

/// Decodes a message for one of these queues. `max_bytes` bounds its body.
///
/// # Errors
/// What is wrong and where.
pub fn decode(
    envelope: &Envelope,
    message: &Bytes,
    max_bytes: usize,
    queues: &[QueueName],
) -> Result<Proof, Rejection> {
    if message.len() > max_bytes {
        let detail = format!(
            "{} bytes, the limit is {max_bytes}: shorten `evidence`, or raise `bridge.max_event_bytes`",
            message.len()
        );
        return Err(Rejection::new(Reason::Oversize, "", detail));
    }
    if let Some(why) = &envelope.unreadable {
        return Err(Rejection::new(Reason::Unreadable, "", why));
    }
    if !envelope.is_cloud_event() {
        return body::read(members(message, "")?, "", None, None, queues);
    }
    let event = Event::decode(envelope, message)?;
    if event.kind != TYPE {
        let detail = format!(
            "a confirmation is of type `{TYPE}`, not `{}`: publish events to `upshot.events`",
            event.kind
        );
        return Err(Rejection::new(Reason::UnknownType, "/type", detail));
    }
    let id = identity(&event);
    body::read(members(&event.data, "/data")?, "/data", Some(id), event.tenant, queues)
}

/// What identifies a confirmation that an event is.
pub(super) fn identity(event: &Event) -> String {
    format!("{} {}", event.source, event.identity().text())
}

fn members(text: &[u8], place: &str) -> Result<Map<String, Value>, Rejection> {
    json::check(text).map_err(|violation| {
        Rejection::new(Reason::MalformedJson, format!("{place}{}", violation.place), violation.what)
    })?;
    serde_json::from_slice(text).map_err(|_| {
        let detail = "a JSON object is expected: {\"queue\": …, \"key\": …}";
        Rejection::new(Reason::ContractViolation, place, detail)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::{Header, STRUCTURED};

    fn decode(envelope: &Envelope, body: &Bytes, max_bytes: usize) -> Result<Proof, Rejection> {
        super::decode(envelope, body, max_bytes, &["emails".parse().unwrap()])
    }

    fn plain(body: &Value) -> Result<Proof, Rejection> {
        decode(&Envelope::default(), &body.to_string().into(), 64 << 10)
    }

    fn structured() -> Envelope {
        Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() }
    }

    #[test]
    fn a_plain_body_and_a_cloud_event_say_the_same() {
        let data = json!({"queue": "emails", "key": "delivered 7", "id": "/mail 7", "tenant": "acme"});
        let expected = plain(&data).unwrap();
        let body = json!({"queue": "emails", "key": "delivered 7"});
        let event = json!({"specversion": "1.0", "id": "7", "source": "/mail", "type": TYPE, "tenant": "acme",
            "data": body});
        let from_event = decode(&structured(), &event.to_string().into(), 64 << 10).unwrap();
        assert_eq!(from_event, expected);
        let headers =
            [("specversion", "1.0"), ("id", "7"), ("source", "/mail"), ("type", TYPE), ("tenant", "acme")];
        let headers =
            headers.map(|(name, value)| (format!("cloudEvents:{name}"), Header::from(value))).into();
        let envelope = Envelope { headers, ..Envelope::default() };
        assert_eq!(decode(&envelope, &body.to_string().into(), 64 << 10).unwrap(), expected);
    }

    #[test]
    fn what_is_no_confirmation_says_why() {
        let reasons = |body: &str| {
            let rejection = decode(&Envelope::default(), &Bytes::from(body.to_owned()), 100).unwrap_err();
            (rejection.reason, rejection.place)
        };
        assert_eq!(reasons("{\"key\""), (Reason::MalformedJson, "/key".to_owned()));
        assert_eq!(reasons("[1]"), (Reason::ContractViolation, String::new()));
        assert_eq!(reasons(&"x".repeat(101)), (Reason::Oversize, String::new()));
        let order =
            json!({"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.v1", "data": {}});
        let rejection = decode(&structured(), &order.to_string().into(), 64 << 10).unwrap_err();
        assert_eq!((rejection.reason, rejection.place.as_str()), (Reason::UnknownType, "/type"));
        assert!(rejection.detail.contains("upshot.events"), "{rejection}");
        let envelope = Envelope { unreadable: Some("its headers".to_owned()), ..Envelope::default() };
        let rejection = decode(&envelope, &Bytes::from_static(b"{}"), 100).unwrap_err();
        assert_eq!(rejection.reason, Reason::Unreadable);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_confirmation_or_a_rejection(bytes in any::<Vec<u8>>(), key in "\\PC{0,220}") {
            let _ = decode(&Envelope::default(), &Bytes::from(bytes.clone()), 1 << 20);
            let _ = decode(&structured(), &Bytes::from(bytes), 1 << 20);
            if let Ok(confirmation) = plain(&json!({"queue": "emails", "key": key})) {
                prop_assert_eq!(confirmation.condition.key(), key);
            }
        }
    }
}
