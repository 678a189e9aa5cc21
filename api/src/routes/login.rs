//! `/v1/login…`: people log in with OpenID Connect.
//!
//! A browser opens these addresses, so what goes wrong is said on a page.

use axum::{
    extract::{RawQuery, State},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use upshot_access::{
    Login, Secret,
    oidc::{self, Pending, Provider},
    once::Kind,
};

use crate::{
    access::{cookie::LOGIN_SECONDS, pages::Refusal, people::Client},
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    routes::session,
    state::Shared,
};

/// Where a person goes after a login.
const AFTER: &str = "/access";
/// Bytes of that at most.
const LONGEST: usize = 512;

/// Begins a login with OpenID Connect.
///
/// Sends the browser to the identity provider. The provider sends it back to `/v1/login/callback`.
#[utoipa::path(
    get,
    path = "/v1/login",
    operation_id = "begin_login",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    params(("to" = Option<String>, Query, description = "The path of this API where the browser goes after the login; `/access` if it is left out", example = "/access")),
    responses(
        (status = 303, description = "To the identity provider",
            headers(("Location" = String, description = "The provider"))),
        (status = 400, description = "A parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The login came over plain HTTP", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "The API has no identity provider", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "This client begins too many logins", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis or the provider does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn begin(
    State(state): State<Shared>,
    links: Links,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Response {
    let client = state.people.client(&extensions, &headers);
    let begun = begun(&state, &links, client, &headers, raw.as_deref()).await;
    begun.unwrap_or_else(|problem| refused(problem, &links, &headers))
}

async fn begun(
    state: &Shared,
    links: &Links,
    client: Client,
    headers: &HeaderMap,
    raw: Option<&str>,
) -> Result<Response, Problem> {
    let provider = provider(state)?;
    state.people.transport.check(headers)?;
    let query = Query::parse(raw, &["to"])?;
    let to = query.text("to").unwrap_or(AFTER);
    if !is_own_path(to) {
        return Err(Problem::parameter("to", to, "use a path of this API, such as /access"));
    }
    state.people.count_start(&client)?;
    let pending = Pending::new(links.callback(), to.to_owned());
    let ttl_ms = u64::try_from(LOGIN_SECONDS).unwrap_or(0) * 1_000;
    let login = state.access(state.people.once.put(Kind::Login, &pending, ttl_ms)).await?;
    let address = provider.address(&pending, &login).await?;
    Ok(to_address(address.as_str(), &[state.people.cookies.set_login(&login)]))
}

/// Ends a login with OpenID Connect.
///
/// The identity provider sends the browser here. The answer begins a session under a new id.
#[utoipa::path(
    get,
    path = "/v1/login/callback",
    operation_id = "finish_login",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    params(
        ("code" = Option<String>, Query, description = "The provider's code"),
        ("state" = Option<String>, Query, description = "The login that the browser began"),
        ("error" = Option<String>, Query, description = "Why the provider refuses"),
    ),
    responses(
        (status = 303, description = "To where the login began",
            headers(("Set-Cookie" = String, description = "The session"))),
        (status = 400, description = "This browser began no such login, or long ago", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The person may not log in", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "The API has no identity provider", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis or the provider does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn finish(
    State(state): State<Shared>,
    links: Links,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Response {
    let finished = finished(&state, &links, &headers, raw.as_deref()).await;
    finished.unwrap_or_else(|problem| {
        let mut response = refused(problem, &links, &headers);
        response.headers_mut().append(header::SET_COOKIE, state.people.cookies.end_login());
        response
    })
}

async fn finished(
    state: &Shared,
    links: &Links,
    headers: &HeaderMap,
    raw: Option<&str>,
) -> Result<Response, Problem> {
    let provider = provider(state)?;
    // A provider may add parameters of its own.
    let given = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
        pairs.find(|(each, _)| each == name).map(|(_, value)| value.into_owned())
    };
    // Only the browser that began the login may end it. Otherwise a foreign page could log the browser
    // in as somebody else.
    let unknown = || {
        let detail = "this browser began no such login, or more than 10 minutes ago: log in again";
        Problem::new(Code::UnknownLogin, detail)
    };
    let login = given("state").as_deref().and_then(Secret::parse).ok_or_else(unknown)?;
    if state.people.cookies.login(headers).is_none_or(|own| own != login) {
        return Err(unknown());
    }
    let pending = state.access(state.people.once.take::<Pending>(Kind::Login, &login)).await?;
    let pending = pending.ok_or_else(unknown)?;
    // RFC 9207: the answer of another provider.
    if given("iss").is_some_and(|issuer| issuer != provider.config().issuer) {
        return Err(Problem::new(Code::LoginRefused, "another identity provider answered: log in again"));
    }
    let to = pending.to.clone();
    let code = match (given("code"), given("error")) {
        (Some(code), None) => code,
        (_, error) => {
            let said: String = error.unwrap_or_default().chars().take(100).collect();
            let detail = format!("the identity provider refuses the login ({said}): log in again");
            return Err(Problem::new(Code::LoginRefused, detail));
        }
    };
    let principal = provider
        .finish(pending, code)
        .await
        .inspect_err(|why| tracing::info!(%why, "a login was refused"))?;
    let (id, session) = state.access(state.people.sessions.begin(Login::Of(principal))).await?;
    tracing::info!(principal = %session.principal.identity, "a session began");
    let cookie = session::begun(state, headers, &id, &session).await;
    let mut response = to_address(&links.page(&to), &[cookie, state.people.cookies.end_login()]);
    // The audit log names whom the login made known.
    response.extensions_mut().insert(session.principal.identity);
    Ok(response)
}

fn provider(state: &Shared) -> Result<&Provider, Problem> {
    state.people.provider.as_ref().ok_or_else(|| {
        let detail = "people log in with an API token: `api.oidc` is not set";
        Problem::new(Code::NoProvider, detail)
    })
}

/// Whether a text is a path of this API. A browser reads `//` and `/\` as another host.
fn is_own_path(to: &str) -> bool {
    to.len() <= LONGEST
        && to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn to_address(address: &str, cookies: &[HeaderValue]) -> Response {
    let headers = [(header::LOCATION, address.to_owned()), (header::CACHE_CONTROL, "no-store".to_owned())];
    let mut response = (StatusCode::SEE_OTHER, AppendHeaders(headers)).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn refused(problem: Problem, links: &Links, headers: &HeaderMap) -> Response {
    if wants_page(headers) {
        Refusal { problem, base: links.page("") }.into_response()
    } else {
        problem.into_response()
    }
}

impl From<oidc::Error> for Problem {
    fn from(error: oidc::Error) -> Self {
        let code = match &error {
            oidc::Error::Away { .. } => Code::ProviderUnavailable,
            _ => Code::LoginRefused,
        };
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_this_api_alone() {
        for (to, own) in [
            ("/access", true),
            ("/access?code=WDJB-MJHT", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("access", false),
            ("/a b", false),
            ("/a\r\nSet-Cookie: x", false),
        ] {
            assert_eq!(is_own_path(to), own, "{to}");
        }
    }
}
