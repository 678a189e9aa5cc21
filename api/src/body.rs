//! Bodies of requests that change something: JSON, errors with a remedy.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    problem::{Code, Problem},
    state::Shared,
};

/// How long a request's body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request's body. An empty body counts as `{}`.
///
/// The content type `application/json` is required even then. So no page of another origin can send
/// such a request from a user's browser.
#[derive(Debug)]
pub struct Body<T>(
    /// The value.
    pub T,
);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media = media.unwrap_or_default();
            let detail = format!("content type is `{media}`: send `application/json`; the body may be empty");
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        read(&bytes(request, state).await?).map(Self)
    }
}

/// Whether a request says that its body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The whole body of a request that changes something.
///
/// # Errors
/// When it is too large, or does not come in time.
pub async fn bytes(request: Request, state: &Shared) -> Result<Bytes, Problem> {
    whole(request, state).await?.map_err(|refused| {
        if refused.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = state.max_event_bytes;
            let detail = format!("the limit is {limit} bytes: send less, or raise `bridge.max_event_bytes`");
            return Problem::new(Code::BodyTooLarge, detail);
        }
        Problem::new(Code::BadRequest, refused.body_text())
    })
}

/// Reads the whole body of a request within a time limit. A client that sends its body byte by byte
/// would otherwise keep its connection for ever.
///
/// # Errors
/// A 408 when it takes too long; inside, axum's own refusal.
pub async fn whole(request: Request, state: &Shared) -> Result<Result<Bytes, BytesRejection>, Problem> {
    tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await.map_err(|_| {
        let detail = format!("the body was not there after {PATIENCE:?}: send it at once");
        Problem::new(Code::RequestTimeout, detail)
    })
}

/// Reads a body; an error names the field and shows its value.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let whole: Value = match serde_json::from_slice(body) {
            Ok(whole) => whole,
            Err(why) => return Problem::new(Code::MalformedJson, format!("{why}: send a JSON object")),
        };
        let field = error.path().iter().next().map(ToString::to_string).unwrap_or_default();
        let said = why(error.inner());
        match whole.get(&field) {
            Some(Value::String(text)) => Problem::parameter(&field, text, said),
            Some(value) => Problem::parameter(&field, &value.to_string(), said),
            // A missing field has no value, and neither has a body that is not an object.
            None => Problem::new(Code::InvalidParameter, format!("{said}; see `/openapi.json`")),
        }
    })?;
    json.end().map_err(|why| Problem::new(Code::MalformedJson, format!("{why}: send one JSON object")))?;
    Ok(found)
}

/// The text of serde's error without the place: the field is enough.
fn why(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    said.strip_suffix(&place).unwrap_or(&said).to_owned()
}

/// Any JSON exactly as written, numbers included. For fields in which `null` is a value.
pub mod raw {
    use serde::{Deserialize, Deserializer};
    use serde_json::value::RawValue;

    /// Reads a value that is present.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Box<RawValue>>, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;
    use upshot_queue::Priority;
    use upshot_shared::duration;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default, deserialize_with = "raw::deserialize")]
        args: Option<Box<RawValue>>,
        #[serde(default, with = "duration")]
        delay: Duration,
        priority: Option<Priority>,
    }

    #[test]
    fn what_is_right_is_read() {
        let sample: Sample = read(br#" {"args": {"n": 1.10}, "delay": "30s", "priority": "high"} "#).unwrap();
        assert_eq!(sample.args.unwrap().get(), r#"{"n": 1.10}"#);
        assert_eq!((sample.delay, sample.priority), (Duration::from_secs(30), Some(Priority::High)));
        let null: Sample = read(br#"{"args": null}"#).unwrap();
        assert_eq!(null.args.unwrap().get(), "null");
        assert!(read::<Sample>(b" ").unwrap().args.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, words) in [
            (&br#"{"delay": "soon"}"#[..], &["`delay` is `soon`", "30s"][..]),
            (br#"{"delay": 5}"#, &["`delay` is `5`", "string"]),
            (br#"{"priority": "urgent"}"#, &["`priority` is `urgent`", "critical", "low"]),
            (br#"{"prio": "high"}"#, &["`prio` is `high`", "unknown", "`priority`"]),
            (b"{", &["send a JSON object"]),
            (b"{} {}", &["send one JSON object"]),
            (b"[]", &["openapi"]),
        ] {
            let said = format!("{:?}", read::<Sample>(body).unwrap_err());
            for word in words {
                assert!(said.contains(word), "`{word}` is not in {said}");
            }
        }
    }
}
