//! The OpenAPI document, generated from the handlers that it describes.
//!
//! `docs/openapi.json` is its committed snapshot, so review sees a change of the public surface.

mod common;
mod order;

use axum::{
    Router,
    http::header,
    response::{AppendHeaders, IntoResponse},
};
use bytes::Bytes;
use utoipa::{OpenApi, openapi};
use utoipa_axum::router::OpenApiRouter;

use crate::{routes, state::Shared, view::Snapshot};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Upshot",
        description = "Turns domain events into business outcomes: publish an event, watch the work that it asked \
                       for, and read whether it came out right, in time, with evidence.\n\nErrors are problem \
                       details after RFC 9457 (`application/problem+json`). Their `type` \
                       leads to a page with cause and remedy; programs compare their `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "events", description = "Events in"),
        (name = "jobs", description = "The work that events ask for"),
        (name = "queues", description = "Where jobs wait, and what delays them"),
        (name = "schedules", description = "Jobs at due times, without an event"),
        (name = "dead", description = "Failures by cause: jobs that will not run again by themselves, and jobs that do"),
        (name = "quarantine", description = "Messages that could not be accepted"),
        (name = "outcomes", description = "Whether it came out right"),
        (name = "access", description = "Who may do what"),
        (name = "service", description = "The service itself")
    ),
    components(schemas(Snapshot))
)]
struct Document;

/// Splits a router into its handlers and its description.
pub fn document(routes: OpenApiRouter<Shared>) -> (Router<Shared>, openapi::OpenApi) {
    let (router, mut document) =
        OpenApiRouter::with_openapi(Document::openapi()).merge(routes).split_for_parts();
    common::complete(&mut document);
    (router, document)
}

/// The document as indented JSON, with a line feed at its end.
pub fn text(document: &openapi::OpenApi) -> String {
    // The document consists of strings, numbers and JSON values, which always
    // serialise.
    order::ordered(&document.to_pretty_json().unwrap_or_default())
}

/// The document of this version.
pub fn described() -> openapi::OpenApi {
    document(routes::described()).1
}

/// The document of this version as indented JSON.
pub fn openapi() -> String {
    text(&described())
}

/// The answer that carries the document.
pub fn answer(text: Bytes) -> impl IntoResponse {
    (AppendHeaders([(header::CONTENT_TYPE, "application/json")]), text)
}
