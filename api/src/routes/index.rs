//! `/v1`: a page that lists the addresses.

use axum::{
    http::header,
    response::{AppendHeaders, Html, IntoResponse},
};

/// The page. It loads nothing from elsewhere.
pub async fn index() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    (AppendHeaders([(header::CONTENT_SECURITY_POLICY, policy)]), Html(include_str!("index.html")))
}
