//! An event over HTTP: the CloudEvents HTTP protocol binding, version 1.0.
//!
//! Structured mode is a body of `application/cloudevents+json`; binary mode carries the attributes
//! in headers prefixed `ce-` (sections 3.1 and 3.2). AMQP and HTTP share the rules for what is
//! accepted. So this module turns a request into the envelope that a message would have.

use std::{borrow::Cow, collections::BTreeMap};

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use percent_encoding::percent_decode;
use serde::Serialize;
use serde_json::value::RawValue;
use upshot_shared::{
    Reason, Rejection,
    event::{Envelope, Header, STRUCTURED},
};

/// The prefix of an attribute's header.
const PREFIX: &str = "ce-";
/// The prefix of an attribute's header over AMQP.
const AMQP_PREFIX: &str = "cloudEvents:";
/// The header of the W3C trace context.
const TRACE: &str = "traceparent";

/// The envelope of a request.
///
/// # Errors
/// When the headers are not those of a CloudEvent.
pub fn envelope(headers: &HeaderMap) -> Result<Envelope, Rejection> {
    let content_type = text(headers.get(header::CONTENT_TYPE));
    let media = content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let structured = media.eq_ignore_ascii_case(STRUCTURED);
    let mut attributes = BTreeMap::new();
    if !structured {
        for (name, value) in headers {
            if let Some(name) = name.as_str().strip_prefix(PREFIX) {
                let value = Header::Text(decoded(name, value)?);
                if attributes.insert(format!("{AMQP_PREFIX}{name}"), value).is_some() {
                    let detail = format!("header `ce-{name}` stands there twice: send it once");
                    return Err(Rejection::new(Reason::InvalidAttribute, format!("/{name}"), detail));
                }
            }
        }
        refuse_others(media, &attributes)?;
    }
    if let Some(trace) = text(headers.get(TRACE)) {
        attributes.insert(TRACE.to_owned(), Header::Text(trace));
    }
    Ok(Envelope { content_type, headers: attributes, unreadable: None })
}

/// Builds the structured form of an event in binary mode from the headers, extensions included.
/// `None` for an event that came in structured form.
///
/// # Errors
/// When the body is not JSON. The event was accepted before, so the body is JSON.
pub fn structured(envelope: &Envelope, body: &Bytes) -> Result<Option<Bytes>, Rejection> {
    #[derive(Serialize)]
    struct Structured<'a> {
        #[serde(flatten)]
        attributes: BTreeMap<&'a str, &'a str>,
        data: &'a RawValue,
    }
    let mut attributes: BTreeMap<&str, &str> = envelope
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(AMQP_PREFIX)?, value.text()?)))
        .collect();
    if attributes.is_empty() {
        return Ok(None);
    }
    if let Some(media) = &envelope.content_type {
        attributes.entry("datacontenttype").or_insert(media);
    }
    let not_json =
        |error: serde_json::Error| Rejection::new(Reason::MalformedJson, "/data", error.to_string());
    let data: &RawValue =
        if body.is_empty() { RawValue::NULL } else { serde_json::from_slice(body).map_err(not_json)? };
    let structured = serde_json::to_vec(&Structured { attributes, data }).map_err(not_json)?;
    Ok(Some(structured.into()))
}

/// Reports for HTTP what [`upshot_shared::Event::decode`] reports for AMQP.
fn refuse_others(media: &str, attributes: &BTreeMap<String, Header>) -> Result<(), Rejection> {
    if attributes.is_empty() || media.to_ascii_lowercase().starts_with("application/cloudevents") {
        return Err(Rejection::new(
            Reason::NotACloudEvent,
            "",
            format!(
                "the content type is `{media}` and there are no `ce-` headers: send one event with content type \
                 `{STRUCTURED}`, or with headers `ce-specversion`, `ce-id`, `ce-source` and `ce-type`"
            ),
        ));
    }
    if !attributes.contains_key(&format!("{AMQP_PREFIX}specversion")) {
        let detail = "add the header `ce-specversion: 1.0`: CloudEvents 1.0 requires it";
        return Err(Rejection::new(Reason::MissingAttribute, "/specversion", detail));
    }
    Ok(())
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An attribute's value: in quotes perhaps, then percent-encoded UTF-8 (section 3.1.3.2).
fn decoded(name: &str, value: &HeaderValue) -> Result<String, Rejection> {
    percent_decode(&unquoted(value.as_bytes())).decode_utf8().map(Cow::into_owned).map_err(|_| {
        let detail = format!("header `ce-{name}` is not UTF-8: percent-encode what is not ASCII");
        Rejection::new(Reason::InvalidAttribute, format!("/{name}"), detail)
    })
}

/// The text between quotes, or the whole text (quoted-string, RFC 9110, section 5.6.4).
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let Some(inside) = inside else { return Cow::Borrowed(value) };
    let mut unquoted = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        unquoted.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    Cow::Owned(unquoted)
}

#[cfg(test)]
mod tests {
    use upshot_shared::Event;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    const BINARY: [(&str, &str); 7] = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t.v1"),
        ("ce-subject", "caf%C3%A9 %22x%22"),
        ("ce-myextension", "kept"),
    ];

    #[test]
    fn both_modes_become_the_same_event() {
        let envelope = envelope(&headers(&BINARY)).unwrap();
        let body = Bytes::from_static(br#"{"n": 1.10}"#);
        let event = Event::decode(&envelope, &body).unwrap();
        assert_eq!(event.subject.as_deref(), Some("café \"x\""));
        let structured = structured(&envelope, &body).unwrap().unwrap();
        assert_eq!(Event::decode_structured(&structured).unwrap(), event);
        let text = std::str::from_utf8(&structured).unwrap();
        // Numbers stay as they were written, extensions stay.
        assert!(text.contains(r#"{"n": 1.10}"#) && text.contains(r#""myextension":"kept""#), "{text}");
    }

    #[test]
    fn a_structured_body_is_passed_on_as_it_is() {
        let named = headers(&[
            ("content-type", "application/cloudevents+json; charset=utf-8"),
            ("ce-id", "2"),
            ("traceparent", "00-a-b-01"),
        ]);
        let envelope = envelope(&named).unwrap();
        let body = Bytes::from_static(b"{ }");
        assert_eq!(structured(&envelope, &body).unwrap(), None);
    }

    #[test]
    fn a_quoted_value_is_unquoted_before_it_is_decoded() {
        for (value, expected) in [
            ("\"a b\"", "a b"),
            (r#""a\"b\\c%22d""#, r#"a"b\c"d"#),
            ("\"", "\""),
            ("\"\"", ""),
            ("%E2%82%AC \"x\"", "€ \"x\""),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert_eq!(decoded("subject", &value).unwrap(), expected);
        }
    }

    #[test]
    fn a_header_that_stands_twice_is_refused() {
        let mut headers = headers(&BINARY);
        headers.append("ce-id", HeaderValue::from_static("2"));
        let refused = envelope(&headers).unwrap_err();
        assert_eq!((refused.reason, refused.place.as_str()), (Reason::InvalidAttribute, "/id"));
    }

    #[test]
    fn what_is_no_event_is_told_the_http_way() {
        for (pairs, reason) in [
            (&BINARY[..1], Reason::NotACloudEvent),
            (
                &[("content-type", "application/cloudevents-batch+json"), ("ce-id", "1")][..],
                Reason::NotACloudEvent,
            ),
            (&BINARY[2..], Reason::MissingAttribute),
            (&[("ce-specversion", "1.0"), ("ce-id", "%FF")][..], Reason::InvalidAttribute),
        ] {
            let rejection = envelope(&headers(pairs)).unwrap_err();
            assert_eq!(rejection.reason, reason);
            assert!(rejection.detail.contains("ce-"), "{rejection}");
        }
    }
}
