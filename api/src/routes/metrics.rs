//! `/metrics`, in Prometheus' text format.

use axum::{extract::State, http::header, response::IntoResponse};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::state::Shared;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows the figures for Prometheus.
///
/// What this process counts, and what the queues count in Redis; the latter are
/// missing for a queue that cannot be read (`upshot_queue_up` is 0). What waits in RabbitMQ is
/// as it was seen a few seconds ago, whether a bridge runs or not.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "service",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(state): State<Shared>) -> impl IntoResponse {
    metrics::gauge!("upshot_api_watched_jobs").set(state.live.watched() as f64);
    let mut text = state.metrics.render();
    let depths = *state.depths.borrow();
    text.push_str(&state.scrape.text(depths).await);
    text_format(text)
}

/// What a process without an API counts.
pub async fn process(handle: PrometheusHandle) -> impl IntoResponse {
    text_format(handle.render())
}

/// The text with the one content type that it has. An appended one would stand beside that of a
/// plain text.
fn text_format(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT)], text)
}
