//! The event envelope: CloudEvents 1.0.
//!
//! Decoded from the JSON event format (structured mode) or from headers
//! prefixed `cloudEvents:` or `cloudEvents_` (binary mode), after the
//! CloudEvents AMQP protocol binding, sections 3.1 and 3.2.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, FixedOffset};
use serde_json::value::RawValue;

use crate::rejection::{Reason, Rejection};

/// The content type of a structured event.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// A message from a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within `source`.
    pub id: String,
    /// Who published it.
    pub source: String,
    /// The versioned type, such as `order.completed.v1`.
    pub kind: String,
    /// The business key that people know.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<DateTime<FixedOffset>>,
    /// Whose work it is (extension `tenant`).
    pub tenant: Option<String>,
    /// What identifies the event in place of `id` (extension `idempotencykey`).
    pub idempotency_key: Option<String>,
    /// W3C trace context (extension `traceparent`).
    pub trace: Option<String>,
    /// The payload: JSON text.
    pub data: Bytes,
}

/// What identifies an event within its source. An id and an idempotency key of
/// the same text are different identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// Its `id`.
    Id(&'a str),
    /// Its extension `idempotencykey`, which takes the place of the id.
    Key(&'a str),
}

impl<'a> Identity<'a> {
    /// Its text, whichever it is.
    pub fn text(self) -> &'a str {
        match self {
            Self::Id(text) | Self::Key(text) => text,
        }
    }
}

/// How a message presents itself, besides its body.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The content type.
    pub content_type: Option<String>,
    /// Headers, names as they came.
    pub headers: BTreeMap<String, String>,
}

impl Event {
    /// What identifies the event within its source.
    pub fn identity(&self) -> Identity<'_> {
        self.idempotency_key.as_deref().map_or(Identity::Id(&self.id), Identity::Key)
    }

    /// Decodes a message in either mode.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn decode(envelope: &Envelope, body: &Bytes) -> Result<Self, Rejection> {
        let binary = envelope.headers.keys().any(|name| attribute_of(name) == Some("specversion"));
        let media = envelope.content_type.as_deref().unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if binary {
            return Self::decode_binary(envelope, body);
        }
        if media.eq_ignore_ascii_case(STRUCTURED) {
            let mut event = Self::decode_structured(body)?;
            event.trace = event.trace.or_else(|| envelope.headers.get("traceparent").cloned());
            return Ok(event);
        }
        Err(Rejection::new(
            Reason::NotACloudEvent,
            "",
            format!(
                "content type is `{media}` and there is no header `cloudEvents:specversion`: \
                 publish with content type `{STRUCTURED}`, or with `cloudEvents:` headers"
            ),
        ))
    }

    /// Decodes the JSON event format.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn decode_structured(body: &Bytes) -> Result<Self, Rejection> {
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|error| malformed("", &error))?;
        let mut attributes = BTreeMap::new();
        let mut data = None;
        for (name, value) in members {
            match name.as_str() {
                "data" => data = Some(value.get()),
                "data_base64" => {
                    return Err(Rejection::new(
                        Reason::InvalidAttribute,
                        "/data_base64",
                        "data must be JSON: send it as member `data`",
                    ));
                }
                _ => {
                    if let Some(text) = scalar(&name, value.get())? {
                        attributes.insert(name, text);
                    }
                }
            }
        }
        let data = data.ok_or_else(|| missing("data"))?;
        let data = body.slice_ref(data.as_bytes());
        Self::build(attributes, data)
    }

    fn decode_binary(envelope: &Envelope, body: &Bytes) -> Result<Self, Rejection> {
        let mut attributes: BTreeMap<String, String> = envelope
            .headers
            .iter()
            .filter_map(|(name, value)| Some((attribute_of(name)?.to_owned(), value.clone())))
            .collect();
        if let Some(media) = &envelope.content_type {
            attributes.entry("datacontenttype".to_owned()).or_insert_with(|| media.clone());
        }
        if let Some(trace) = envelope.headers.get("traceparent") {
            attributes.entry("traceparent".to_owned()).or_insert_with(|| trace.clone());
        }
        // The data is looked at when the contract is checked; that it is JSON
        // at all has to be certain before it is stored as such.
        let _: &RawValue = serde_json::from_slice(body).map_err(|error| malformed("/data", &error))?;
        Self::build(attributes, body.clone())
    }

    fn build(mut attributes: BTreeMap<String, String>, data: Bytes) -> Result<Self, Rejection> {
        let version = attributes.remove("specversion").ok_or_else(|| missing("specversion"))?;
        if version != "1.0" {
            return Err(invalid("specversion", &version, "only `1.0` is understood"));
        }
        if let Some(media) = attributes.get("datacontenttype") {
            let media = media.split(';').next().unwrap_or_default().trim();
            if media != "application/json" && !media.ends_with("+json") {
                return Err(invalid("datacontenttype", media, "data must be JSON"));
            }
        }
        let mut required = |name: &str| {
            let value = attributes.remove(name).ok_or_else(|| missing(name))?;
            if value.is_empty() || value.len() > 512 || value.contains(char::is_control) {
                return Err(invalid(
                    name,
                    &value,
                    "1 to 512 characters without control characters are expected",
                ));
            }
            Ok(value)
        };
        let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
        let mut optional = |name: &str| match attributes.remove(name) {
            Some(value) if value.is_empty() || value.len() > 512 || value.contains(char::is_control) => {
                Err(invalid(name, &value, "1 to 512 characters without control characters are expected"))
            }
            value => Ok(value),
        };
        let (subject, tenant) = (optional("subject")?, optional("tenant")?);
        let (idempotency_key, trace) = (optional("idempotencykey")?, optional("traceparent")?);
        let time = match optional("time")? {
            Some(text) => Some(DateTime::parse_from_rfc3339(&text).map_err(|_| {
                invalid("time", &text, "an RFC 3339 time is expected, like 2026-01-31T12:00:00Z")
            })?),
            None => None,
        };
        Ok(Self { id, source, kind, subject, time, tenant, idempotency_key, trace, data })
    }
}

/// The attribute that a header carries in binary mode.
fn attribute_of(header: &str) -> Option<&str> {
    header.strip_prefix("cloudEvents:").or_else(|| header.strip_prefix("cloudEvents_"))
}

/// An attribute's value as text. Null counts as absent (JSON event format, 2.2).
fn scalar(name: &str, raw: &str) -> Result<Option<String>, Rejection> {
    match serde_json::from_str(raw) {
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::String(text)) => Ok(Some(text)),
        Ok(serde_json::Value::Bool(yes)) => Ok(Some(yes.to_string())),
        Ok(serde_json::Value::Number(number)) => Ok(Some(number.to_string())),
        _ => Err(invalid(name, raw, "a string, a number or a boolean is expected")),
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new(
        Reason::MissingAttribute,
        format!("/{name}"),
        format!("add `{name}`: CloudEvents 1.0 requires it"),
    )
}

fn invalid(name: &str, value: &str, remedy: &str) -> Rejection {
    let shown: String = value.chars().take(80).collect();
    Rejection::new(Reason::InvalidAttribute, format!("/{name}"), format!("`{name}` is `{shown}`: {remedy}"))
}

fn malformed(place: &str, error: &serde_json::Error) -> Rejection {
    if error.is_data() {
        return Rejection::new(
            Reason::NotACloudEvent,
            place,
            "a JSON object with CloudEvents members is expected",
        );
    }
    Rejection::new(Reason::MalformedJson, place, format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t.v1","subject":"o-1",
        "time":"2026-01-31T12:00:00Z","tenant":"acme","traceparent":"00-a-b-01","data":{"n":1}}"#;

    fn structured(text: &str) -> Result<Event, Rejection> {
        Event::decode_structured(&Bytes::from(text.to_owned()))
    }

    #[test]
    fn structured_and_binary_mode_say_the_same() {
        let one = structured(EVENT).unwrap();
        let headers = [
            ("cloudEvents:specversion", "1.0"),
            ("cloudEvents:id", "1"),
            ("cloudEvents_source", "/s"),
            ("cloudEvents:type", "t.v1"),
            ("cloudEvents:subject", "o-1"),
            ("cloudEvents:time", "2026-01-31T12:00:00Z"),
            ("cloudEvents:tenant", "acme"),
            ("traceparent", "00-a-b-01"),
        ];
        let envelope = Envelope {
            content_type: Some("application/json; charset=utf-8".into()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(one, Event::decode(&envelope, &Bytes::from_static(br#"{"n":1}"#)).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let cases = [
            ("{", Reason::MalformedJson, ""),
            ("[1]", Reason::NotACloudEvent, ""),
            (r#"{"id":"1"}"#, Reason::MissingAttribute, "/data"),
            (r#"{"id":"1","data":{}}"#, Reason::MissingAttribute, "/specversion"),
            (r#"{"specversion":"1.0","source":"s","type":"t","data":1}"#, Reason::MissingAttribute, "/id"),
            (r#"{"specversion":"0.3","data":1}"#, Reason::InvalidAttribute, "/specversion"),
            (
                r#"{"specversion":"1.0","id":"","source":"s","type":"t","data":1}"#,
                Reason::InvalidAttribute,
                "/id",
            ),
            (r#"{"specversion":"1.0","id":{},"data":1}"#, Reason::InvalidAttribute, "/id"),
            (
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon","data":1}"#,
                Reason::InvalidAttribute,
                "/time",
            ),
        ];
        for (text, reason, place) in cases {
            let rejection = structured(text).unwrap_err();
            assert_eq!((rejection.reason, rejection.place.as_str()), (reason, place), "{text}");
        }
        let plain = Event::decode(&Envelope::default(), &Bytes::from(EVENT)).unwrap_err();
        assert_eq!(plain.reason, Reason::NotACloudEvent);
    }

    proptest! {
        #[test]
        fn no_message_makes_the_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            let envelope = Envelope { content_type: Some(STRUCTURED.into()), ..Envelope::default() };
            let _ = Event::decode(&envelope, &Bytes::from(body));
            let _ = Event::decode(&envelope, &Bytes::from(text));
        }
    }
}
