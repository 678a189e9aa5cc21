//! `/v1/session`: exchanges a credential for the session of a browser, and ends it.

use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use upshot_access::{
    self as access, Credential, FirstToken, Identity, LinkText, Login, Principal, Refusal, Rights, Role,
    Scope, Secret, Session,
};
use utoipa::ToSchema;

use crate::{
    access::first,
    body::Body,
    problem::{Code, Details, Problem},
    state::Shared,
    view::Me,
};

/// A credential to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginSession {
    /// An API token (`upk_…`), the token of a capability link (`upl_…`), or the one-time administrator
    /// token (`upb_…`).
    #[schema(example = "upk_0f3a5b7c9d1e_…")]
    token: String,
}

/// Begins a session.
///
/// The answer sets a cookie for this browser, under a new id. The session ends after a while without
/// use, some days after its begin, at its `DELETE`, and when the token or link that began it ends. Over
/// plain HTTP, a login is taken on loopback only.
#[utoipa::path(
    post,
    path = "/v1/session",
    operation_id = "begin_session",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    request_body(content = BeginSession, description = "The credential"),
    responses(
        (status = 200, description = "The principal that is logged in", body = Me,
            headers(("Set-Cookie" = String, description = "The session"))),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 401, description = "The credential is refused", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The login came over plain HTTP", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "Too many logins of this client failed", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn begin(State(state): State<Shared>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let client = state.people.client(request.extensions(), &headers);
    state.people.transport.check(&headers)?;
    state.people.may_try(&client)?;
    let Body(BeginSession { token }) = Body::from_request(request, &state).await?;
    let login = match login(&state, &token).await {
        Ok(login) => login,
        Err(problem) => {
            if problem.is(Code::Unauthenticated) {
                state.people.count_failure(&client);
                tracing::info!(client = client.address(), "a login was refused");
            }
            return Err(problem);
        }
    };
    let (id, session) = state.access(state.people.sessions.begin(login)).await?;
    tracing::info!(principal = %session.principal.identity, client = client.address(), "a session began");
    let cookie = begun(&state, &headers, &id, &session).await;
    let mut response = ([(header::SET_COOKIE, cookie)], Json(Me::from(&session.principal))).into_response();
    // The audit log names whom the login made known.
    response.extensions_mut().insert(session.principal.identity);
    Ok(response)
}

/// What a credential logs in.
async fn login(state: &Shared, token: &str) -> Result<Login, Problem> {
    if let Some(first) = FirstToken::parse(token) {
        let now = state.now().await?;
        if !state.access(state.people.once.take_first(&first)).await? {
            return Err(access::Error::from(Refusal::Unknown).into());
        }
        let lifetime = i64::try_from(first::SESSION.as_millis()).unwrap_or(i64::MAX);
        return Ok(Login::Of(Principal {
            identity: Identity::FirstAdministrator,
            role: Some(Role::Administrator),
            rights: Rights::all(),
            scope: Scope::everything(),
            until: Some(now.saturating_add(lifetime)),
        }));
    }
    if let Ok(link) = LinkText::parse(token) {
        let (principal, key) = state.access(state.people.links.identify(&link)).await?;
        return Ok(Login::Link(principal, key));
    }
    let credential = Credential::parse(token).map_err(access::Error::from)?;
    let principal = state.access(state.tokens.identify(&credential)).await?;
    Ok(Login::Token(credential, principal))
}

/// The cookie of a session that begins. The session that the browser had ends.
pub async fn begun(state: &Shared, headers: &HeaderMap, id: &Secret, session: &Session) -> HeaderValue {
    if let Some(old) = state.people.cookies.session(headers)
        && let Err(problem) = state.access(state.people.sessions.end(&old)).await
    {
        tracing::debug!(?problem, "the session that the browser had ends by itself");
    }
    state.people.cookies.set_session(id, (session.until - session.created_at) / 1_000)
}

/// Ends the session of the browser.
///
/// Without a session it does nothing. The answer takes the cookie away.
#[utoipa::path(
    delete,
    path = "/v1/session",
    operation_id = "end_session",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    responses(
        (status = 204, description = "There is no session any more",
            headers(("Set-Cookie" = String, description = "Takes the session away"))),
        (status = 503, description = "Redis does not answer: the session is still in force", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn end(State(state): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let cookie = state.people.cookies.end_session();
    let mut response = (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response();
    if let Some(id) = state.people.cookies.session(&headers) {
        // The audit log names whose session it was, if it was in force.
        if let Ok(session) = state.access(state.people.sessions.identify(&id)).await {
            response.extensions_mut().insert(session.principal.identity);
        }
        state.access(state.people.sessions.end(&id)).await?;
    }
    Ok(response)
}
