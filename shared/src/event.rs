//! The event envelope: CloudEvents 1.0.
//!
//! Decoded from the JSON event format (structured mode) or from headers
//! prefixed `cloudEvents:` or `cloudEvents_` (binary mode), after the
//! CloudEvents AMQP protocol binding, sections 3.1 and 3.2.

mod glimpse;
mod trace;

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use chrono::{DateTime, Datelike, FixedOffset};
use data_encoding::{BASE64, BASE64_NOPAD};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    json,
    rejection::{Reason, Rejection},
};

pub use glimpse::Glimpse;
pub use trace::is_traceparent;

/// The content type of a structured event.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// A message from a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within `source`.
    pub id: String,
    /// The producer.
    pub source: String,
    /// The versioned type, such as `order.completed.v1`.
    pub kind: String,
    /// The business key that people know.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<DateTime<FixedOffset>>,
    /// The tenant (extension `tenant`).
    pub tenant: Option<String>,
    /// Identifies the event instead of `id` (extension `idempotencykey`).
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
    /// Its text, of either variant.
    pub fn text(self) -> &'a str {
        match self {
            Self::Id(text) | Self::Key(text) => text,
        }
    }
}

/// The envelope of a message, without its body.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The content type.
    pub content_type: Option<String>,
    /// Headers, with their original names.
    pub headers: BTreeMap<String, Header>,
    /// Why an AMQP client could not parse the message, if it could not.
    pub unreadable: Option<String>,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// A text.
    Text(String),
    /// A whole number; of an attribute that is a time, milliseconds since 1970.
    Integer(i128),
    /// A time in milliseconds since 1970.
    Time(i64),
    /// A value that an attribute cannot have, such as a list; its type.
    Other(&'static str),
}

impl From<&str> for Header {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Header {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Envelope {
    /// Whether the message says that it is a CloudEvent, in either mode. It may be a wrong one.
    pub fn is_cloud_event(&self) -> bool {
        self.media_type().starts_with("application/cloudevents") || self.has_version()
    }

    fn media_type(&self) -> String {
        media_type(self.content_type.as_deref().unwrap_or_default())
    }

    fn has_version(&self) -> bool {
        self.headers.keys().any(|name| attribute_of(name) == Some("specversion"))
    }
}

impl Event {
    /// What identifies the event within its source.
    pub fn identity(&self) -> Identity<'_> {
        self.idempotency_key.as_deref().map_or(Identity::Id(&self.id), Identity::Key)
    }

    /// Decodes a message in either mode; its content type says which.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn decode(envelope: &Envelope, body: &Bytes) -> Result<Self, Rejection> {
        if let Some(why) = &envelope.unreadable {
            return Err(Rejection::new(Reason::Unreadable, "", why));
        }
        let media = envelope.media_type();
        if media == STRUCTURED {
            let mut event = Self::decode_structured(body)?;
            event.trace = event.trace.or_else(|| trace_of(envelope.headers.get("traceparent")));
            return Ok(event);
        }
        if envelope.has_version() && !media.starts_with("application/cloudevents") {
            return Self::decode_binary(envelope, body);
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

    /// Decodes the JSON event format (CloudEvents JSON format, section 3).
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn decode_structured(body: &Bytes) -> Result<Self, Rejection> {
        json::check(body).map_err(|violation| malformed("", violation))?;
        let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).map_err(|_| {
            let detail = "a JSON object with CloudEvents members is expected";
            Rejection::new(Reason::NotACloudEvent, "", detail)
        })?;
        let mut attributes = BTreeMap::new();
        let mut data = None;
        for (name, value) in members {
            let found = match &*name {
                "data" => body.slice_ref(value.get().as_bytes()),
                "data_base64" => decoded(value.get())?,
                _ => {
                    if let Some(value) = scalar(&name, value.get())? {
                        attributes.insert(name.into_owned(), value);
                    }
                    continue;
                }
            };
            if data.replace(found).is_some() {
                let detail = "there is `data` as well: send one of them";
                return Err(Rejection::new(Reason::InvalidAttribute, "/data_base64", detail));
            }
        }
        Self::build(attributes, data.unwrap_or(NULL))
    }

    fn decode_binary(envelope: &Envelope, body: &Bytes) -> Result<Self, Rejection> {
        let mut attributes: BTreeMap<String, Header> = BTreeMap::new();
        for (header, value) in &envelope.headers {
            let Some(name) = attribute_of(header) else { continue };
            if attributes.insert(name.to_owned(), value.clone()).is_some() {
                return Err(invalid(name, header, "it stands in another header as well: send it once"));
            }
        }
        if let Some(media) = &envelope.content_type {
            attributes.entry("datacontenttype".to_owned()).or_insert_with(|| Header::Text(media.clone()));
        }
        // The contract check reads the data. Before that, the data must be JSON that all readers
        // understand alike, because it is stored as such.
        let data = if body.is_empty() { NULL } else { body.clone() };
        json::check(&data).map_err(|violation| malformed("/data", violation))?;
        let mut event = Self::build(attributes, data)?;
        event.trace = event.trace.or_else(|| trace_of(envelope.headers.get("traceparent")));
        Ok(event)
    }

    fn build(mut attributes: BTreeMap<String, Header>, data: Bytes) -> Result<Self, Rejection> {
        let version = text(&mut attributes, "specversion")?.ok_or_else(|| missing("specversion"))?;
        if version != "1.0" {
            return Err(invalid("specversion", &version, "only `1.0` is understood"));
        }
        if let Some(media) = text(&mut attributes, "datacontenttype")? {
            let media = media_type(&media);
            if media != "application/json" && !media.ends_with("+json") {
                return Err(invalid("datacontenttype", &media, "data must be JSON"));
            }
        }
        let mut required = |name: &str| text(&mut attributes, name)?.ok_or_else(|| missing(name));
        let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
        let subject = text(&mut attributes, "subject")?;
        let tenant = text(&mut attributes, "tenant")?;
        let idempotency_key = text(&mut attributes, "idempotencykey")?;
        let trace = trace_of(attributes.get("traceparent"));
        let time = attributes.get("time").map(time).transpose()?;
        Ok(Self { id, source, kind, subject, time, tenant, idempotency_key, trace, data })
    }
}

/// The data of an event that has none.
const NULL: Bytes = Bytes::from_static(b"null");

/// A media type without its parameters, in lower case (RFC 9110, section 8.3.1).
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The attribute that a header carries in binary mode.
fn attribute_of(header: &str) -> Option<&str> {
    header.strip_prefix("cloudEvents:").or_else(|| header.strip_prefix("cloudEvents_"))
}

/// The trace context, if valid. An invalid one says nothing about the event, so the event is not
/// refused.
fn trace_of(header: Option<&Header>) -> Option<String> {
    header.and_then(Header::text).filter(|text| is_traceparent(text)).map(str::to_owned)
}

/// Takes an attribute as text. A whole number is one, digit by digit.
fn text(attributes: &mut BTreeMap<String, Header>, name: &str) -> Result<Option<String>, Rejection> {
    let value = match attributes.remove(name) {
        None => return Ok(None),
        Some(Header::Text(text)) => text,
        Some(Header::Integer(number)) => number.to_string(),
        Some(Header::Time(_)) => return Err(invalid(name, "a time", "a text is expected")),
        Some(Header::Other(what)) => return Err(invalid(name, what, "a text is expected")),
    };
    if value.is_empty() || value.len() > 512 || value.contains(char::is_control) {
        return Err(invalid(name, &value, "1 to 512 bytes without control characters are expected"));
    }
    Ok(Some(value))
}

/// When it happened: RFC 3339, or milliseconds since 1970, as some producers' SDKs send it.
fn time(value: &Header) -> Result<DateTime<FixedOffset>, Rejection> {
    const REMEDY: &str =
        "an RFC 3339 time is expected, like 2026-01-31T12:00:00Z, or whole milliseconds since 1970";
    // The times that RFC 3339 can write.
    const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;
    let (parsed, shown) = match value {
        Header::Text(text) => (DateTime::parse_from_rfc3339(text).ok(), text.clone()),
        Header::Integer(_) | Header::Time(_) => {
            let ms = match value {
                Header::Time(ms) => Some(*ms),
                Header::Integer(number) => i64::try_from(*number).ok(),
                _ => None,
            };
            let time = ms.and_then(DateTime::from_timestamp_millis);
            (time.map(|time| time.fixed_offset()), format!("{value:?}"))
        }
        Header::Other(what) => (None, (*what).to_owned()),
    };
    parsed.filter(|time| YEARS.contains(&time.year())).ok_or_else(|| invalid("time", &shown, REMEDY))
}

/// A member's value. Null counts as absent (JSON event format, 2.2). A number is taken digit by
/// digit: through a double, two different ids would become one.
fn scalar(name: &str, raw: &str) -> Result<Option<Header>, Rejection> {
    if let Ok(value) = serde_json::from_str::<Option<Scalar>>(raw) {
        return Ok(value.map(|value| match value {
            Scalar::Text(text) => Header::Text(text),
            Scalar::Bool(yes) => Header::Text(yes.to_string()),
        }));
    }
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    match raw.parse() {
        Ok(number) => Ok(Some(Header::Integer(number))),
        // A double would lose visible digits.
        Err(_) if is_number && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(Header::Text(raw.to_owned())))
        }
        Err(_) if is_number => {
            Err(invalid(name, raw, "a fraction or a power has no one way to be written: send it as a string"))
        }
        Err(_) => Err(invalid(name, raw, "a string, a whole number or a boolean is expected")),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Bool(bool),
}

/// The JSON inside of `data_base64` (JSON event format, 3.1.1).
fn decoded(raw: &str) -> Result<Bytes, Rejection> {
    let wrong = |detail: String| Rejection::new(Reason::InvalidAttribute, "/data_base64", detail);
    let text: String =
        serde_json::from_str(raw).map_err(|_| wrong("a base64 string is expected".to_owned()))?;
    let bytes = BASE64
        .decode(text.as_bytes())
        .or_else(|_| BASE64_NOPAD.decode(text.as_bytes()))
        .map_err(|error| wrong(format!("not base64: {error}")))?;
    json::check(&bytes).map_err(|violation| {
        wrong(format!("the data must be JSON, and inside of it {violation}: or send it as member `data`"))
    })?;
    Ok(bytes.into())
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

fn malformed(below: &str, json::Violation { place, what }: json::Violation) -> Rejection {
    Rejection::new(Reason::MalformedJson, format!("{below}{place}"), what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t.v1","subject":"o-1",
        "time":"2026-01-31T12:00:00Z","tenant":"acme","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{"n":1}}"#;

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
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let envelope = Envelope {
            content_type: Some("application/json; charset=utf-8".into()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.into())).into(),
            ..Envelope::default()
        };
        assert_eq!(one, Event::decode(&envelope, &Bytes::from_static(br#"{"n":1}"#)).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let cases = [
            ("{", Reason::MalformedJson, ""),
            ("[1]", Reason::NotACloudEvent, ""),
            (r#"{"id":"1"}"#, Reason::MissingAttribute, "/specversion"),
            (r#"{"id":"1","data":{}}"#, Reason::MissingAttribute, "/specversion"),
            (r#"{"specversion":"1.0","source":"s","type":"t","data":1}"#, Reason::MissingAttribute, "/id"),
            (r#"{"specversion":"0.3","data":1}"#, Reason::InvalidAttribute, "/specversion"),
            (
                r#"{"specversion":"1.0","id":"","source":"s","type":"t","data":1}"#,
                Reason::InvalidAttribute,
                "/id",
            ),
            (r#"{"specversion":"1.0","id":{},"data":1}"#, Reason::InvalidAttribute, "/id"),
            (r#"{"specversion":"1.0","id":1.5,"data":1}"#, Reason::InvalidAttribute, "/id"),
            (r#"{"specversion":"1.0","id":"1","id":"2"}"#, Reason::MalformedJson, "/id"),
            (r#"{"data":{"a":[1,{"b":1,"b":2}]}}"#, Reason::MalformedJson, "/data/a/1/b"),
            (r#"{"data":1,"data_base64":"MQ=="}"#, Reason::InvalidAttribute, "/data_base64"),
            (r#"{"data_base64":"e30"}"#, Reason::MissingAttribute, "/specversion"),
            (r#"{"data_base64":"e"}"#, Reason::InvalidAttribute, "/data_base64"),
            (r#"{"data_base64":"eA=="}"#, Reason::InvalidAttribute, "/data_base64"),
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

    /// An event with other members in place of some.
    fn with(members: &str) -> Result<Event, Rejection> {
        structured(&format!(r#"{{"specversion":"1.0","source":"/s","type":"t.v1",{members}}}"#))
    }

    fn binary(headers: &[(&str, Header)], body: &'static [u8]) -> Result<Event, Rejection> {
        let always =
            [("cloudEvents_specversion", "1.0"), ("cloudEvents_source", "/s"), ("cloudEvents_type", "t")];
        let always = always.iter().map(|(name, value)| ((*name).to_owned(), Header::from(*value)));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let envelope = Envelope { headers: always.chain(headers).collect(), ..Envelope::default() };
        Event::decode(&envelope, &Bytes::from_static(body))
    }

    #[test]
    fn a_number_is_an_id_digit_by_digit() {
        let one = with(r#""id":98730000000000000000001"#).unwrap();
        let other = with(r#""id":98730000000000000000002"#).unwrap();
        assert_eq!(
            (one.id.as_str(), other.id.as_str()),
            ("98730000000000000000001", "98730000000000000000002")
        );
        let long = "9".repeat(60);
        assert_eq!(with(&format!(r#""id":{long}"#)).unwrap().id, long);
        assert_eq!(with(r#""id":-7,"subject":true"#).unwrap().id, "-7");
        for id in ["1.0", "1e3", "[1]", "{}"] {
            assert_eq!(with(&format!(r#""id":{id}"#)).unwrap_err().place, "/id");
        }
    }

    #[test]
    fn a_time_is_taken_as_milliseconds_too() {
        let expected = DateTime::parse_from_rfc3339("2026-03-14T09:26:53.589Z").unwrap();
        let id = ("cloudEvents_id", Header::from("1"));
        for time in [Header::Integer(1_773_480_413_589), Header::Time(1_773_480_413_589)] {
            let event = binary(&[id.clone(), ("cloudEvents_time", time)], b"{}").unwrap();
            assert_eq!(event.time, Some(expected));
        }
        assert_eq!(with(r#""id":"1","time":1773480413589"#).unwrap().time, Some(expected));
        for time in [Header::Integer(i128::MAX), Header::Time(i64::MAX), Header::Other("a list")] {
            let refused = binary(&[id.clone(), ("cloudEvents_time", time)], b"{}").unwrap_err();
            assert_eq!((refused.reason, refused.place.as_str()), (Reason::InvalidAttribute, "/time"));
        }
    }

    #[test]
    fn the_content_type_decides_the_mode() {
        let mut envelope = Envelope {
            content_type: Some("Application/CloudEvents+JSON; charset=utf-8".into()),
            headers: [("cloudEvents:specversion", "1.0"), ("cloudEvents:id", "other")]
                .map(|(name, value)| (name.to_owned(), value.into()))
                .into(),
            ..Envelope::default()
        };
        assert_eq!(Event::decode(&envelope, &Bytes::from(EVENT)).unwrap().id, "1");
        envelope.content_type = Some("application/cloudevents-batch+json".into());
        assert_eq!(Event::decode(&envelope, &Bytes::from(EVENT)).unwrap_err().reason, Reason::NotACloudEvent);
    }

    #[test]
    fn an_attribute_that_stands_twice_is_refused_and_one_of_another_type_too() {
        let id = ("cloudEvents_id", Header::from("1"));
        let twice = binary(&[id.clone(), ("cloudEvents:id", Header::from("2"))], b"{}").unwrap_err();
        assert_eq!((twice.reason, twice.place.as_str()), (Reason::InvalidAttribute, "/id"));
        let list = binary(&[id, ("cloudEvents_idempotencykey", Header::Other("a list"))], b"{}").unwrap_err();
        assert_eq!(list.place, "/idempotencykey");
    }

    #[test]
    fn data_may_be_base64_or_absent() {
        assert_eq!(with(r#""id":"1","data_base64":"eyJuIjoxfQ==""#).unwrap().data, &b"{\"n\":1}"[..]);
        assert_eq!(with(r#""id":"1""#).unwrap().data, &b"null"[..]);
        assert_eq!(binary(&[("cloudEvents_id", Header::from("1"))], b"").unwrap().data, &b"null"[..]);
        let media = with(r#""id":"1","datacontenttype":"Application/JSON","data":1"#);
        assert!(media.is_ok());
    }

    #[test]
    fn a_trace_context_of_another_form_is_dropped() {
        let long = format!("\"{}\"", "a".repeat(513));
        for trace in ["\"x\"", "\"\"", "1", &long] {
            let event = with(&format!(r#""id":"1","traceparent":{trace}"#)).unwrap();
            assert_eq!(event.trace, None, "{trace}");
        }
        let mut envelope = Envelope { content_type: Some(STRUCTURED.into()), ..Envelope::default() };
        envelope.headers.insert("traceparent".into(), Header::from("a".repeat(513).as_str()));
        let plain = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}"#;
        assert_eq!(Event::decode(&envelope, &Bytes::from(plain)).unwrap().trace, None);
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
