//! `/v1/device…`: a program without a browser logs in as a person, after RFC 8628.

use axum::{
    Extension, Json,
    extract::{FromRequest, RawQuery, Request, State},
    http::{Extensions, HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use upshot_access::{
    Identity, NewToken, Principal, Proof, Secret,
    devices::{About, INTERVAL_MS, Polled, TypedCode, WAIT_MS},
};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    body::Body,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    state::Shared,
    view::Me,
};

/// Bytes of a device's name.
const NAME: usize = 60;

/// A device that asks for a login.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginDevice {
    /// What its person calls it: 1 to 60 bytes.
    #[schema(min_length = 1, max_length = 60, example = "upshot on ada's laptop")]
    name: String,
}

/// The codes of a device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceCodes {
    /// The code of the device. Nobody else may see it.
    device_code: String,
    /// The code that its person types at `verification_uri`.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Where its person types the code.
    #[schema(example = "https://upshot.example.org/access")]
    verification_uri: String,
    /// The same with the code.
    #[schema(example = "https://upshot.example.org/access?code=WDJB-MJHT")]
    verification_uri_complete: String,
    /// How long the codes are taken, in seconds.
    #[schema(example = 600)]
    expires_in: u64,
    /// How long the device waits between two polls, in seconds.
    #[schema(example = 5)]
    interval: u64,
}

/// The code of a device that polls.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollDevice {
    /// The code of the device.
    device_code: String,
}

/// The API token that a device gets.
#[derive(Serialize, ToSchema)]
pub struct DeviceToken {
    /// The token for the header `Authorization: Bearer …`. Only this answer has it.
    #[schema(example = "upk_0f3a5b7c9d1e_…")]
    token: String,
    /// What it may do.
    me: Me,
}

/// What a person decides about a device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideDevice {
    /// The code that the device shows.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Whether the device gets the rights of the person.
    approve: bool,
}

/// A device that waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingDevice {
    /// What it calls itself.
    #[schema(example = "upshot on ada's laptop")]
    name: String,
    /// The address that it asked from.
    #[schema(required, example = "192.0.2.7")]
    address: Option<String>,
}

/// Begins the login of a device.
///
/// The device shows `user_code` to its person, and polls `POST /v1/device/token`.
#[utoipa::path(
    post,
    path = "/v1/device",
    operation_id = "begin_device",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    request_body(content = BeginDevice, description = "The device"),
    responses(
        (status = 200, description = "Its codes", body = DeviceCodes),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "The API has no identity provider: use an API token", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "This client begins too many logins", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn begin(
    State(state): State<Shared>,
    links: Links,
    request: Request,
) -> Result<Json<DeviceCodes>, Problem> {
    if state.people.provider.is_none() {
        let detail = "nobody could approve the device, because `api.oidc` is not set: use an API token";
        return Err(Problem::new(Code::NoProvider, detail));
    }
    state.people.transport.check(request.headers())?;
    let client = state.people.client(request.extensions(), request.headers());
    let Body(BeginDevice { name }) = Body::from_request(request, &state).await?;
    if name.trim().is_empty() || name.len() > NAME || name.contains(char::is_control) {
        let remedy = format!("1 to {NAME} bytes are expected, not only blanks, and no control characters");
        return Err(Problem::parameter("name", &name, remedy));
    }
    state.people.count_start(&client)?;
    let about = About { name, address: client.address() };
    let (device, typed) = state.access(state.people.devices.begin(&about)).await?;
    Ok(Json(DeviceCodes {
        device_code: device.expose().to_owned(),
        user_code: typed.to_string(),
        verification_uri: links.page("/access"),
        verification_uri_complete: links.page(&format!("/access?code={typed}")),
        expires_in: WAIT_MS / 1_000,
        interval: INTERVAL_MS / 1_000,
    }))
}

/// Polls for the API token of a device.
///
/// The token has the rights and the scope of the person who approved, and ends with that person's
/// session at the latest. Until then the answer is a 400 with the problem `authorization-pending`; other
/// problems are `slow-down`, `access-denied` and `expired-token`, as in RFC 8628.
#[utoipa::path(
    post,
    path = "/v1/device/token",
    operation_id = "poll_device",
    extensions(("x-right" = json!("none"))),
    tag = "access",
    request_body(content = PollDevice, description = "The code of the device"),
    responses(
        (status = 200, description = "The token", body = DeviceToken),
        (status = 400, description = "There is no token (yet)", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "Too many logins of this client failed", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis does not answer: the device may have to begin again", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "There are 1000 API tokens already", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn poll(
    State(state): State<Shared>,
    request: Request,
) -> Result<(Extension<Identity>, Json<DeviceToken>), Problem> {
    let client = state.people.client(request.extensions(), request.headers());
    state.people.may_try(&client)?;
    let Body(PollDevice { device_code }) = Body::from_request(request, &state).await?;
    let polled = match Secret::parse(&device_code) {
        Some(device) => state.access(state.people.devices.poll(&device)).await?,
        None => Polled::Expired,
    };
    let (code, detail) = match polled {
        Polled::Approved(principal) => {
            // The audit log names whom the login made known.
            let identity = principal.identity.clone();
            return token(&state, *principal).await.map(|token| (Extension(identity), Json(token)));
        }
        Polled::Waiting => (Code::AuthorizationPending, "the person has not answered yet: poll again"),
        Polled::TooOften => (Code::SlowDown, "wait `interval` seconds between two polls"),
        Polled::Refused => (Code::AccessDenied, "the person has refused the device"),
        Polled::Expired => {
            state.people.count_failure(&client);
            (
                Code::ExpiredToken,
                "the code is not known, has been used, or is older than 10 minutes: begin again",
            )
        }
    };
    Err(Problem::new(code, detail))
}

/// Makes the token of a device.
async fn token(state: &Shared, principal: Principal) -> Result<DeviceToken, Problem> {
    let (Some(role), Some(until)) = (principal.role, principal.until) else {
        return Err(Problem::internal("a device was approved by a principal without a role or an end"));
    };
    let denied = || {
        let detail = "the person has logged out meanwhile: begin again";
        Problem::new(Code::AccessDenied, detail)
    };
    let left = until - state.now().await?;
    if left <= 0 {
        return Err(denied());
    }
    let name: String = format!("device of {}", principal.identity).chars().take(100).collect();
    let new = NewToken {
        name,
        role,
        more: principal.rights.without(role.rights()),
        without: role.rights().without(principal.rights),
        scope: principal.scope.clone(),
        lifetime_ms: Some(left),
        created_by: principal.identity.to_string(),
    };
    let (credential, made) = state.access(state.tokens.create(new)).await?;
    if !state.access(state.people.sessions.attach(&principal, &made.id, until)).await? {
        state.access(state.tokens.revoke(&made.id)).await?;
        return Err(denied());
    }
    tracing::info!(token = %made.id, by = %principal.identity, "a device got an API token");
    let me = state.access(state.tokens.identify(&credential)).await?;
    Ok(DeviceToken { token: credential.expose(), me: Me::from(&me) })
}

/// Shows the device that waits with a code.
#[utoipa::path(
    get,
    path = "/v1/device",
    operation_id = "show_device",
    extensions(("x-right" = json!("any"))),
    tag = "access",
    params(("user_code" = String, Query, description = "The code that the device shows", example = "WDJB-MJHT")),
    responses(
        (status = 200, description = "What it says of itself", body = WaitingDevice),
        (status = 404, description = "No device waits with this code", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "Too many codes of this client were wrong", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Shared>,
    _: Caller,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Json<WaitingDevice>, Problem> {
    let client = state.people.client(&extensions, &headers);
    state.people.may_try(&client)?;
    let query = Query::parse(raw.as_deref(), &["user_code"])?;
    let found = match query.text("user_code").and_then(TypedCode::parse) {
        Some(typed) => state.access(state.people.devices.look(&typed)).await?,
        None => None,
    };
    let Some(About { name, address }) = found else {
        state.people.count_failure(&client);
        return Err(unknown());
    };
    Ok(Json(WaitingDevice { name, address }))
}

/// Decides about a device.
///
/// A person approves or refuses the device that shows a code. The device then acts as that person.
/// Needs the session of a person who logged in with OpenID Connect.
#[utoipa::path(
    post,
    path = "/v1/device/approve",
    operation_id = "decide_device",
    extensions(("x-right" = json!("any"))),
    tag = "access",
    request_body(content = DecideDevice, description = "The decision"),
    responses(
        (status = 204, description = "The device is told at its next poll"),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The principal is not a person", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No device waits with this code", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "Too many codes of this client were wrong", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn decide(
    State(state): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (Identity::Person { .. }, Some(Proof::Session(id))) = (&caller.principal().identity, caller.proof())
    else {
        let detail = format!(
            "{} is not a person with a session, and a device gets the rights of a person: log in with OpenID \
             Connect, or give the device an API token",
            caller.principal().identity
        );
        return Err(Problem::new(Code::OutOfScope, detail));
    };
    let client = state.people.client(request.extensions(), request.headers());
    state.people.may_try(&client)?;
    let Body(DecideDevice { user_code, approve }) = Body::from_request(request, &state).await?;
    let session = state.access(state.people.sessions.identify_by(id)).await?;
    let principal = Principal { until: Some(session.until), ..session.principal };
    let decided = match TypedCode::parse(&user_code) {
        Some(typed) => {
            state.access(state.people.devices.decide(&typed, approve.then_some(&principal))).await?
        }
        None => false,
    };
    if !decided {
        state.people.count_failure(&client);
        return Err(unknown());
    }
    tracing::info!(by = %principal.identity, approve, "a person decided about a device");
    Ok(StatusCode::NO_CONTENT)
}

fn unknown() -> Problem {
    let detail =
        "no device waits with this code: compare it with the one that the device shows, or begin again";
    Problem::new(Code::UnknownDevice, detail)
}
