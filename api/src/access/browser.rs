//! Safety of browsers: where changes come from, and headers that bound what a page may do.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    access::Cookies,
    problem::{Code, Problem},
};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Answers that say nothing else load nothing and stand in no frame.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// How long a browser may remember what other origins may send, in seconds.
const REMEMBERED: u64 = 600;

/// Refuses a change that a browser sends with its session unless the browser says that a page of this
/// API sends it. [`crate::hosts`] has compared the origin before. A program with a bearer token and no
/// cookie says nothing of its origin.
pub async fn refuse_forged(State(cookies): State<Cookies>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() && cookies.has_session(request.headers()) && !is_own(request.headers()) {
        let detail = "the request changes something with the session of a browser, and the browser does not say \
                      that a page of this API sent it: send `Origin`, or send an API token and no cookie";
        return Problem::new(Code::ForeignOrigin, detail).into_response();
    }
    next.run(request).await
}

/// A foreign `Origin` was refused before, so any that is left is the API's own.
fn is_own(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
        || headers.get(FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin")
}

/// Adds headers that bound what a browser does with an answer, where the answer does not say.
pub async fn bound(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Lets pages of these origins read answers, without cookies; `None` without origins.
pub fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::ETAG,
            header::LOCATION,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(std::time::Duration::from_secs(REMEMBERED));
    Some(layer)
}
