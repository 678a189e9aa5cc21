//! `GET /v1/access`: how to log in.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::Mode, state::Shared};

/// How to log in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Access {
    /// Whether a request needs a credential.
    authentication: bool,
    /// Whether people log in with an identity provider, at `/v1/login`; otherwise with a token.
    provider: bool,
}

/// Says how to log in.
#[utoipa::path(
    get,
    path = "/v1/access",
    operation_id = "show_access",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    responses((status = 200, description = "How to log in", body = Access))
)]
pub async fn show(State(state): State<Shared>) -> Json<Access> {
    let provider = state.people.provider.is_some();
    Json(Access { authentication: state.mode == Mode::On, provider })
}
