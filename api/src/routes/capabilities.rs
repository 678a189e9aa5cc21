//! `/v1/links…`: capability links of end users.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use upshot_access::{LinkId, Only, Scope, Target};
use upshot_shared::duration;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    links::Links,
    moment::Moment,
    problem::{Code, Details, Problem},
    query::Query,
    state::{Shared, job_id},
};

/// Bytes of a name.
const NAME: usize = 512;

/// The capability link to make: to a job or to a subject.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeLink {
    /// The job. It need not be enqueued yet.
    #[serde(default)]
    #[schema(required = false, example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: Option<String>,
    /// The subject, of which the link shows all jobs.
    #[serde(default)]
    #[schema(required = false, example = "order-1042")]
    subject: Option<String>,
    /// The tenant of the job or subject. It may be left out by a principal with one tenant, and for a
    /// job that is enqueued.
    #[serde(default)]
    #[schema(required = false, example = "acme")]
    tenant: Option<String>,
    /// How long the link lasts; `api.links.lifetime` if left out, `api.links.most` at most.
    #[serde(default, with = "duration::optional")]
    #[schema(value_type = String, required = false, pattern = "^([0-9]{1,9}(ms|s|m|h|d) ?)+$", example = "30d")]
    lifetime: Option<Duration>,
}

/// A capability link.
#[derive(Serialize, ToSchema)]
pub struct MadeLink {
    /// Its id, to revoke it.
    #[schema(example = "0f3a5b7c9d1e2f40-1773480413000")]
    id: String,
    /// The address for the end user. Its fragment stays in the browser. Only this answer has it.
    #[schema(example = "https://upshot.example.org/access#upl_…")]
    link: String,
    /// When it expires.
    expires_at: Moment,
}

/// A capability link that was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedLink {
    /// Its id.
    id: String,
    /// Whether it was in force until now: it had not expired.
    was_valid: bool,
}

/// Makes a capability link.
///
/// Whoever has the link sees one job, or the jobs of one subject, and changes nothing. It shows no more
/// than the principal that makes it sees: of the same tenants, queues and sources.
#[utoipa::path(
    post,
    path = "/v1/links",
    operation_id = "create_link",
    extensions(("x-right" = json!("share"))),
    tag = "access",
    request_body(content = MakeLink, description = "The link"),
    responses(
        (status = 201, description = "The link", body = MadeLink),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 403, description = "The tenant is not the principal's", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "The content type is not `application/json`", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn make(
    State(state): State<Shared>,
    caller: Caller,
    act: Act,
    links: Links,
    Body(body): Body<MakeLink>,
) -> Result<(StatusCode, Json<MadeLink>), Problem> {
    let MakeLink { job, subject, tenant, lifetime } = body;
    let (usual, most) = state.people.link_lifetime;
    let lifetime = lifetime.unwrap_or(usual);
    if !(Duration::from_secs(1)..=most).contains(&lifetime) {
        let remedy = format!("use 1s to {} (`api.links.most`)", humantime::format_duration(most));
        let value = humantime::format_duration(lifetime).to_string();
        return Err(Problem::parameter("lifetime", &value, remedy));
    }
    let target = match (job, subject) {
        (Some(job), None) => Target::Job(job_id(&job).map_err(|_| not_a_job(&job))?.to_string()),
        (None, Some(subject)) => Target::Subject(name("subject", subject)?),
        _ => {
            let remedy = "name either `job` or `subject`";
            return Err(Problem::new(Code::InvalidParameter, remedy));
        }
    };
    let tenant = tenant.map(|tenant| name("tenant", tenant)).transpose()?;
    let tenants = match (&target, tenant) {
        // Of a job that the principal does not see, nothing is told: such a link shows nothing either.
        (Target::Job(id), None) => match state.look_for(&caller, &job_id(id)?).await {
            Ok(Some(known)) => {
                known.job.tenant.map_or_else(|| caller.scope().tenants.clone(), |tenant| Only::of([tenant]))
            }
            Ok(None) => tenants(&caller, None)?,
            Err(problem) if problem.is(Code::UnknownJob) => tenants(&caller, None)?,
            Err(problem) => return Err(problem),
        },
        (_, tenant) => tenants(&caller, tenant)?,
    };
    match &target {
        Target::Job(id) => act.target("id", id),
        Target::Subject(subject) => act.target("subject", subject),
    }
    let scope = Scope { tenants, target: Some(target), ..caller.scope().clone() };
    let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    let made = state.access(state.people.links.make(scope, lifetime_ms)).await?;
    act.target("link", &made.id.to_string());
    tracing::info!(link = %made.id, by = %caller.principal().identity, "a capability link was made");
    let link = links.capability(made.text.expose());
    let expires_at = Moment(made.until);
    Ok((StatusCode::CREATED, Json(MadeLink { id: made.id.to_string(), link, expires_at })))
}

/// Revokes a capability link.
///
/// The sessions that it began end as well.
#[utoipa::path(
    delete,
    path = "/v1/links/{link}",
    operation_id = "revoke_link",
    extensions(("x-right" = json!("share"))),
    tag = "access",
    params(("link" = String, Path, description = "The id of the link", example = "0f3a5b7c9d1e2f40-1773480413000")),
    responses(
        (status = 200, description = "It shows nothing any more", body = RevokedLink),
        (status = 404, description = "No link can have this id", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer: revoke it again", body = Details, content_type = "application/problem+json"),
        (status = 507, description = "Too many links are revoked: end all links", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn revoke(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RevokedLink>, Problem> {
    let unknown = || {
        let shown: String = id.chars().take(100).collect();
        let detail =
            format!("no capability link has the id `{shown}`: the answer that made the link has its id");
        Problem::new(Code::UnknownLink, detail)
    };
    let link: LinkId = id.parse().map_err(|_| unknown())?;
    let revoked = state.access(state.people.links.revoke(&link)).await;
    let was_valid =
        revoked.map_err(|problem| if problem.is(Code::Unauthenticated) { unknown() } else { problem })?;
    tracing::info!(link = %link, by = %caller.principal().identity, "a capability link was revoked");
    Ok(Json(RevokedLink { id: link.to_string(), was_valid }))
}

/// Ends all capability links.
///
/// Those of all tenants, with the sessions that they began: links are signed with another key from then
/// on.
#[utoipa::path(
    delete,
    path = "/v1/links",
    operation_id = "revoke_links",
    extensions(("x-right" = json!("administer")), ("x-scope" = json!("installation"))),
    tag = "access",
    responses(
        (status = 204, description = "No link shows anything any more"),
        (status = 503, description = "Redis does not answer: end them again", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn revoke_all(
    State(state): State<Shared>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, Problem> {
    Query::parse(raw.as_deref(), &[])?;
    state.access(state.people.links.revoke_all()).await?;
    tracing::info!(by = %caller.principal().identity, "all capability links were ended");
    Ok(StatusCode::NO_CONTENT)
}

/// The tenants of a link: the one that is asked for, or all that a principal has if it has one or all.
fn tenants(caller: &Caller, asked: Option<String>) -> Result<Only, Problem> {
    let own = &caller.scope().tenants;
    match asked {
        Some(asked) if own.has(Some(&asked)) => Ok(Only::of([asked])),
        Some(asked) => {
            let names: Vec<&str> = own.names().collect();
            let remedy = format!("{} sees jobs of {} only", caller.principal().identity, names.join(", "));
            Err(Problem::new(Code::OutOfScope, format!("`tenant` is `{asked}`: {remedy}")))
        }
        None if own.is_all() || own.names().count() == 1 => Ok(own.clone()),
        None => {
            let names: Vec<&str> = own.names().collect();
            let remedy = format!("name one of {}", names.join(", "));
            Err(Problem::parameter("tenant", "", remedy))
        }
    }
}

fn name(field: &str, name: String) -> Result<String, Problem> {
    if (1..=NAME).contains(&name.len()) && name != "*" && !name.contains(char::is_control) {
        return Ok(name);
    }
    let remedy = format!("a name has 1 to {NAME} bytes, and no control characters");
    Err(Problem::parameter(field, &name, remedy))
}

fn not_a_job(given: &str) -> Problem {
    Problem::parameter("job", given, "use the id of a job, as in the links of a 202")
}
