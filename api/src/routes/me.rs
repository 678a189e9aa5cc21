//! `GET /v1/me`: the principal that sends the request.

use axum::Json;

use crate::{access::Caller, problem::Details, view::Me};

/// Shows who or what sends the request, and what it may do.
#[utoipa::path(
    get,
    path = "/v1/me",
    operation_id = "show_me",
    extensions(("x-right" = json!("any"))),
    tag = "access",
    responses(
        (status = 200, description = "The principal", body = Me),
        (status = 401, description = "The request has no credential, or one that is refused", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn me(caller: Caller) -> Json<Me> {
    Json(Me::from(caller.principal()))
}
