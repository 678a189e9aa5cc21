//! The layers around every request: a request id, the access log, metrics, and the final form of
//! answers that are not a success.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{self, Body},
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

use crate::{access::pages::Written, problem::Problem};

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The methods that have a label of their own. A client can invent any other method.
const STANDARD: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The longest text of a foreign error answer that the API passes on, in bytes.
const SAID: usize = 4096;

/// The id of a request, for the layers and handlers inside.
#[derive(Clone, Debug)]
pub struct RequestId(
    /// As in the header, and in the log.
    pub String,
);

/// Puts the layers around a router.
pub fn around<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    crate::metrics::describe_requests();
    router.layer(CatchPanicLayer::custom(panicked)).layer(middleware::from_fn(outermost))
}

async fn outermost(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    // The id finds every log line of this request.
    let span = tracing::error_span!("request", request_id = id);
    let mut response = finish(next.run(request).instrument(span).await, &id).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    tracing::debug!(%method, path, status, ms = took.as_secs_f64() * 1e3, request_id = id, "request");
    count(method.as_str(), route, status, took);
    response
}

/// The id that came with the request if it is harmless, otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless =
        |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(harmless).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Gives a problem its request id. Turns any other answer that is not a success into a problem,
/// such as an extractor's refusal or a wrong method. A page for people stays as it is.
async fn finish(response: Response, id: &str) -> Response {
    if response.extensions().get::<Written>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None if parts.status.is_client_error() || parts.status.is_server_error() => {
            let said = body::to_bytes(body, SAID).await.unwrap_or_default();
            Problem::of_status(parts.status, &String::from_utf8_lossy(&said))
        }
        None => return Response::from_parts(parts, body),
    };
    let mut rendered = problem.render(Some(id));
    // Headers such as `Allow` stay; headers of the old body go.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    for (name, value) in &parts.headers {
        if !rendered.headers().contains_key(name) {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    rendered
}

/// The hook for panics has logged the place.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    Problem::internal("a handler panicked").into_response()
}

fn count(method: &str, route: Option<String>, status: u16, took: Duration) {
    // Unknown paths share one label, because a client can invent any path.
    let route = route.unwrap_or_else(|| "unknown".to_owned());
    let method = if STANDARD.contains(&method) { method } else { "other" };
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("upshot_api_requests_total", &labels).increment(1);
    metrics::histogram!("upshot_api_request_seconds", "route" => labels[1].1.clone())
        .record(took.as_secs_f64());
}

/// The answer for an unknown address.
pub async fn unknown_address() -> Problem {
    Problem::of_status(StatusCode::NOT_FOUND, "")
}

#[cfg(test)]
mod tests {
    use axum::{http::Method, routing::get};
    use tower::ServiceExt;

    use super::*;
    use crate::problem;

    async fn ask(method: Method, path: &str) -> (Response, serde_json::Value) {
        let bug = || async {
            if true {
                panic!("something private")
            }
        };
        let router = around(Router::new().route("/bug", get(bug)).fallback(unknown_address));
        let request = Request::builder().method(method).uri(path).header(REQUEST_ID, "abc");
        let mut response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = std::mem::take(response.body_mut());
        let body = serde_json::from_slice(&body::to_bytes(body, SAID).await.unwrap()).unwrap();
        (response, body)
    }

    #[tokio::test]
    async fn every_failure_is_a_problem_with_the_request_id() {
        for (method, path, status, code) in [
            (Method::GET, "/nowhere", 404, "unknown-address"),
            (Method::POST, "/bug", 405, "method-not-allowed"),
            (Method::GET, "/bug", 500, "internal"),
        ] {
            let (response, body) = ask(method, path).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], problem::MEDIA_TYPE);
            assert_eq!(response.headers()[REQUEST_ID], "abc");
            assert_eq!((body["code"].as_str(), body["request_id"].as_str()), (Some(code), Some("abc")));
            assert!(!body.to_string().contains("private"), "{body}");
        }
        let (response, _) = ask(Method::POST, "/bug").await;
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
    }
}
