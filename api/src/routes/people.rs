//! `/v1/people/sessions`: ends all sessions of a person.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    problem::{Details, Problem},
    query::Query,
    state::Shared,
};

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndedSessions {
    /// The sessions of the person, and the API tokens that its devices got.
    ended: usize,
}

/// Ends all sessions of a person.
///
/// The API tokens that its devices got end as well. The person may log in again while the identity
/// provider lets it.
#[utoipa::path(
    delete,
    path = "/v1/people/sessions",
    operation_id = "end_sessions",
    extensions(("x-right" = json!("administer")), ("x-scope" = json!("installation"))),
    tag = "access",
    params(
        ("issuer" = String, Query, description = "The identity provider", example = "https://id.example.org"),
        ("subject" = String, Query, description = "The person's subject there", example = "ada"),
    ),
    responses(
        (status = 200, description = "They are ended", body = EndedSessions),
        (status = 400, description = "A parameter is missing or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: end them again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn end_all(
    State(state): State<Shared>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<EndedSessions>, Problem> {
    let query = Query::parse(raw.as_deref(), &["issuer", "subject"])?;
    let required = |name: &str| {
        query
            .name(name)?
            .ok_or_else(|| Problem::parameter(name, "", "name it: `GET /v1/me` of the person shows it"))
    };
    let (issuer, subject) = (required("issuer")?, required("subject")?);
    let ended = state.access(state.people.sessions.end_all_of(&issuer, &subject)).await?;
    tracing::info!(issuer, subject, ended, by = %caller.principal().identity, "all sessions of a person were ended");
    Ok(Json(EndedSessions { ended }))
}
