//! `/metrics`, in Prometheus' text format.

use axum::{extract::State, http::header, response::IntoResponse};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    problem::{Code, Details, Problem},
    state::Shared,
};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows the figures for Prometheus.
///
/// The answer has the metrics of this process and the counts that the queues keep in Redis. The
/// counts of a queue that cannot be read are missing (`upshot_queue_up` is 0). The figures of
/// RabbitMQ are a few seconds old, and do not need a bridge. With `probes.listen` only that listener
/// serves metrics.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    extensions(("x-right" = json!("see-metrics")), ("x-scope" = json!("installation"))),
    tag = "service",
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
        (status = 404, description = "The listener of `probes.listen` serves them", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn metrics(State(state): State<Shared>) -> Result<impl IntoResponse, Problem> {
    if state.metrics_apart {
        let detail = "metrics are served where `probes.listen` says, and not here";
        return Err(Problem::new(Code::UnknownAddress, detail));
    }
    Ok(of_api(state).await)
}

/// The metrics of an API.
pub async fn of_api(state: Shared) -> impl IntoResponse {
    metrics::gauge!("upshot_api_watched_jobs").set(state.live.watched() as f64);
    let mut text = state.metrics.render();
    let depths = *state.depths.borrow();
    text.push_str(&state.scrape.text(depths).await);
    text_format(text)
}

/// The metrics of a process without an API.
pub async fn process(handle: PrometheusHandle) -> impl IntoResponse {
    text_format(handle.render())
}

/// The text with exactly one content type. An appended header would stand beside axum's own.
fn text_format(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT)], text)
}
