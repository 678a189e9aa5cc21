//! `/healthz` and `/readyz`.

use std::collections::BTreeMap;

use axum::{Json, Router, extract::State, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use upshot_runtime::Health;
use utoipa::ToSchema;

use super::metrics;
use crate::{
    access::Mode,
    problem::{Details, Problem},
    state::Shared,
};

/// The answer of a service that is alive or ready.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct Well {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// What needs attention although the service works, by name, with the remedy. `installation`:
    /// the data in Redis are gone or were replaced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    warnings: BTreeMap<String, String>,
}

impl Well {
    fn with(warnings: BTreeMap<String, String>) -> Json<Self> {
        Json(Self { status: "ok", warnings })
    }
}

/// Reports that the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    extensions(("x-right" = json!("none"))),
    tag = "service",
    responses((status = 200, description = "It is", body = Well))
)]
pub async fn alive() -> Json<Well> {
    Well::with(BTreeMap::new())
}

/// Reports whether the service has what it needs.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    extensions(("x-right" = json!("none"))),
    tag = "service",
    responses(
        (status = 200, description = "It has; `warnings` names what to look at all the same", body = Well),
        (status = 503, description = "It has not; `missing` says what and why", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn ready(State(state): State<Shared>) -> Result<Json<Well>, Problem> {
    check(&state.health)
}

fn check(health: &Health) -> Result<Json<Well>, Problem> {
    let missing = health.missing();
    if missing.is_empty() { Ok(Well::with(health.warnings())) } else { Err(Problem::not_ready(missing)) }
}

/// `/healthz`, `/readyz` and `/metrics` alone, for a service without an API.
pub fn probes(health: Health, handle: PrometheusHandle) -> Router {
    let figures = move || metrics::process(handle.clone());
    alive_and_ready(health).route("/metrics", get(figures))
}

/// The same for an API.
pub fn probes_of_api(state: Shared) -> Router {
    let alone = alive_and_ready(state.health.clone());
    alone.route("/metrics", get(move || metrics::of_api(state.clone())))
}

/// The same for the API's connections above the bound. They pass no gate, so they get metrics only
/// from an API that shows them to everybody.
pub fn probes_above_bound(state: &Shared) -> Router {
    if state.metrics_apart || state.mode != Mode::Off {
        return alive_and_ready(state.health.clone());
    }
    probes(state.health.clone(), state.metrics.clone())
}

fn alive_and_ready(health: Health) -> Router {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(move || async move { check(&health) }))
}
