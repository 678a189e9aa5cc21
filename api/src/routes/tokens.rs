//! `/v1/tokens…`: API tokens of services.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use upshot_access::{Only, Principal, Rights, Role, Scope, Token};
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    moment::Moment,
    problem::{Code, Details, Problem},
    query::Query,
    state::Shared,
    view::{RightName, RoleName, TokenBody},
};

/// Names in a list at most, and bytes of a name.
const NAMES: usize = 100;
const NAME: usize = 512;
/// The overlap of a rotation if none is given, and at most.
const OVERLAP: Duration = Duration::from_secs(3_600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The API token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, for people: 1 to 100 bytes.
    #[schema(min_length = 1, max_length = 100, example = "shop")]
    name: String,
    /// Its role.
    #[schema(value_type = RoleName)]
    role: Role,
    /// The tenants whose jobs it sees and for which it publishes; `*` for all, and for jobs without a
    /// tenant.
    #[schema(example = json!(["acme"]))]
    tenants: Vec<String>,
    /// The queues whose jobs it sees; all if left out.
    #[serde(default = "everything")]
    #[schema(example = json!(["*"]))]
    queues: Vec<String>,
    /// The sources of the events that it publishes, and whose jobs it sees; `*` for all. A producer
    /// needs it; all for other roles if left out.
    #[serde(default)]
    #[schema(example = json!(["/shops/berlin"]))]
    sources: Vec<String>,
    /// Rights beside those of the role.
    #[serde(default)]
    #[schema(value_type = Vec<RightName>, required = false, example = json!(["see-arguments"]))]
    rights: Rights,
    /// Rights of the role that it lacks.
    #[serde(default)]
    #[schema(value_type = Vec<RightName>, required = false, example = json!(["replay"]))]
    without: Rights,
    /// How long it is taken; for ever if left out.
    #[serde(default, with = "duration::optional")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "90d")]
    expires_in: Option<Duration>,
}

/// How to rotate an API token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateToken {
    /// How long the old secret is taken beside the new one; `1h` if left out, `30d` at most, `0s` to
    /// end it at once.
    #[serde(default, with = "duration::optional")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "1h")]
    overlap: Option<Duration>,
}

/// An API token with its secret, which is not shown again.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewCredential {
    /// The token for the header `Authorization: Bearer …`. Only this answer has it.
    #[schema(example = "upk_0f3a5b7c9d1e_…")]
    token: String,
    #[serde(flatten)]
    about: TokenBody,
}

/// All API tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// By name.
    tokens: Vec<TokenBody>,
}

/// Makes an API token.
///
/// The secret is in this answer only. A principal gives no more than it has itself: neither rights
/// nor tenants, queues and sources.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "create_token",
    extensions(("x-right" = json!("administer"))),
    tag = "access",
    request_body(content = CreateToken, description = "The token"),
    responses(
        (status = 201, description = "It is made", body = NewCredential),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "It would have more than the principal that makes it", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: it may be made, so look at the list", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "There are 1000 tokens already", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Body(body): Body<CreateToken>,
) -> Result<(StatusCode, Json<NewCredential>), Problem> {
    let new = body.checked(&caller)?;
    let (credential, token) = state.access(state.tokens.create(new)).await?;
    act.target("token", &token.id);
    act.after(about(&token));
    tracing::info!(token = %token.id, role = %token.role, by = %caller.principal().identity, "an API token was made");
    Ok((StatusCode::CREATED, Json(NewCredential { token: credential.expose(), about: token.into() })))
}

/// Lists API tokens.
///
/// Those that have no more than the principal that asks.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "list_tokens",
    extensions(("x-right" = json!("administer"))),
    tag = "access",
    responses(
        (status = 200, description = "The tokens", body = Tokens),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<Tokens>, Problem> {
    Query::parse(raw.as_deref(), &[])?;
    let tokens = state.access(state.tokens.list()).await?;
    let tokens = tokens.into_iter().filter(|token| is_within(token, caller.principal()));
    Ok(Json(Tokens { tokens: tokens.map(TokenBody::from).collect() }))
}

/// Gives an API token another secret.
///
/// The old secret is taken for `overlap` more, so that a service can change over. The new secret is in
/// this answer only.
#[utoipa::path(
    post,
    path = "/v1/tokens/{token}/rotate",
    operation_id = "rotate_token",
    extensions(("x-right" = json!("administer"))),
    tag = "access",
    params(("token" = String, Path, description = "The id of the token", example = "0f3a5b7c9d1e")),
    request_body(content = Option<RotateToken>, description = "`{}` will do; an empty body counts as that"),
    responses(
        (status = 200, description = "It has another secret", body = NewCredential),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No such token", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: rotate it again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn rotate(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(id): Path<String>,
    Body(rotate): Body<RotateToken>,
) -> Result<Json<NewCredential>, Problem> {
    let overlap = rotate.overlap.unwrap_or(OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(Problem::parameter("overlap", &format!("{overlap:?}"), "use at most 30d"));
    }
    act.before(about(&find(&state, &caller, &id).await?));
    let (credential, token) = state.access(state.tokens.rotate(&id, millis(overlap))).await?;
    act.after(about(&token));
    tracing::info!(token = %id, by = %caller.principal().identity, "an API token got another secret");
    Ok(Json(NewCredential { token: credential.expose(), about: token.into() }))
}

/// Revokes an API token at once.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{token}",
    operation_id = "revoke_token",
    extensions(("x-right" = json!("administer"))),
    tag = "access",
    params(("token" = String, Path, description = "The id of the token", example = "0f3a5b7c9d1e")),
    responses(
        (status = 200, description = "It is revoked; what it was", body = TokenBody),
        (status = 404, description = "No such token", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: revoke it again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn revoke(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    Path(id): Path<String>,
) -> Result<Json<TokenBody>, Problem> {
    act.before(about(&find(&state, &caller, &id).await?));
    let token = state.access(state.tokens.revoke(&id)).await?;
    tracing::info!(token = %id, by = %caller.principal().identity, "an API token was revoked");
    Ok(Json(token.into()))
}

/// What the audit log has of a token.
fn about(token: &Token) -> Value {
    json!({
        "name": token.name,
        "role": token.role,
        "rights": token.rights(),
        "scope": token.scope,
        "expires_at": token.expires_at.map(Moment),
        "rotated_at": token.rotated_at.map(Moment),
    })
}

fn everything() -> Vec<String> {
    vec![upshot_access::scope::EVERYTHING.to_owned()]
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a token has no more than a principal. Others are not there for it.
fn is_within(token: &Token, principal: &Principal) -> bool {
    token.rights().is_within(principal.rights) && token.scope.is_within(&principal.scope)
}

async fn find(state: &Shared, caller: &Caller, id: &str) -> Result<Token, Problem> {
    let token = state.access(state.tokens.find(id)).await?;
    if is_within(&token, caller.principal()) {
        return Ok(token);
    }
    Err(upshot_access::Error::UnknownToken(id.to_owned()).into())
}

impl CreateToken {
    /// The token, if the caller may make it.
    fn checked(self, caller: &Caller) -> Result<upshot_access::NewToken, Problem> {
        let Self { name, role, tenants, queues, sources, rights, without, expires_in } = self;
        if name.trim().is_empty() || name.len() > 100 || name.contains(char::is_control) {
            let remedy = "1 to 100 bytes are expected, not only blanks, and no control characters";
            return Err(Problem::parameter("name", &name, remedy));
        }
        let sources = if sources.is_empty() && role != Role::Producer { everything() } else { sources };
        let scope = Scope {
            tenants: names("tenants", tenants)?,
            queues: names("queues", queues)?,
            sources: names("sources", sources)?,
            target: None,
        };
        if expires_in.is_some_and(|lifetime| lifetime < Duration::from_secs(1)) {
            return Err(Problem::parameter("expires_in", &format!("{expires_in:?}"), "use at least 1s"));
        }
        let given = role.rights().with(rights).without(without);
        let own = caller.principal();
        if let Some(right) = given.without(own.rights).iter().next() {
            let detail = format!("{} lacks the right `{right}` itself, so it cannot give it", own.identity);
            return Err(Problem::missing_right(right, detail));
        }
        if !scope.is_within(&own.scope) {
            let detail = format!(
                "{} sees less than the token would: name only its own tenants, queues and sources (`GET /v1/me` \
                 shows them)",
                own.identity
            );
            return Err(Problem::new(Code::OutOfScope, detail));
        }
        Ok(upshot_access::NewToken {
            name,
            role,
            more: rights,
            without,
            scope,
            lifetime_ms: expires_in.map(millis),
            created_by: own.identity.to_string(),
        })
    }
}

fn names(field: &str, names: Vec<String>) -> Result<Only, Problem> {
    if names.is_empty() || names.len() > NAMES {
        let remedy = format!("give 1 to {NAMES} names, or `*` for all");
        return Err(Problem::parameter(field, &format!("{} names", names.len()), remedy));
    }
    let is_usable = |name: &String| (1..=NAME).contains(&name.len()) && !name.contains(char::is_control);
    match names.iter().find(|name| !is_usable(name)) {
        Some(name) => {
            let remedy = format!("a name has 1 to {NAME} bytes, and no control characters");
            Err(Problem::parameter(field, name, remedy))
        }
        None => Ok(Only::of(names)),
    }
}
