//! The addresses, one concern a file.

mod events;
mod files;
mod health;
mod index;
mod jobs;
mod list;
mod metrics;
mod outcomes;
mod progress;
mod retry;

use axum::{Router, routing::get};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{layers, openapi, state::Shared};

pub use health::probes;

/// The addresses that the OpenAPI document describes.
pub fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(events::accept))
        .routes(routes!(list::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(retry::retry))
        .routes(routes!(progress::progress))
        .routes(routes!(files::file))
        .routes(routes!(outcomes::of_event))
        .routes(routes!(outcomes::of_job))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// All addresses, with the layers around them.
pub fn router(state: Shared) -> Router {
    let (router, document) = openapi::document(described());
    let document = openapi::text(&document);
    let router = router
        .route("/", get(index::index))
        .route("/openapi.json", get(|| async { openapi::answer(document) }))
        .fallback(layers::unknown_address)
        .layer(events::limit(&state));
    layers::around(router).with_state(state)
}
