//! `GET` and `PUT /v1/queues/{queue}/configuration`: shows and changes the configuration of a
//! queue.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use upshot_queue::{
    Client, Configuration, Configured, Difference, Error, Limit, LimitKey, StoredConfiguration,
};
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    body::Body,
    moment::Moment,
    problem::{Code, Details, Problem},
    query::Query,
    state::Shared,
};

/// Versions that are read: as many as are kept.
const VERSIONS: usize = 100;

/// The author of a change that names none.
const NOBODY: &str = "api";

/// The configuration of a queue. It is the same in every process, whatever the process's settings
/// say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Configuration)]
pub struct ConfigurationBody {
    /// The queue.
    #[schema(example = "invoices")]
    queue: String,
    /// The version, counted from 1; 0 while none is stored, because no executor has started yet.
    version: u64,
    /// When it was stored, and its author as given; null while none is stored.
    #[schema(required)]
    stored_at: Option<Moment>,
    #[schema(required)]
    by: Option<String>,
    /// Retention, shares, retries and limits, by the keys of a `[queues.NAME]` section, with every
    /// value. Null while none is stored.
    #[schema(required, value_type = Option<Object>)]
    configuration: Option<Value>,
    /// Its limits that were set differently since then, with their present values.
    limits_apart: Vec<LimitApart>,
    /// The versions that are kept, the latest first.
    versions: Vec<VersionBody>,
}

/// A limit that was set differently since then. Null means not limited.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitApart {
    /// `queue`, `tenant:NAME` or `key:NAME`.
    key: String,
    #[schema(required)]
    concurrency: Option<u32>,
    #[schema(required)]
    rate: Option<f64>,
    #[schema(required)]
    burst: Option<u32>,
    #[schema(required)]
    weight: Option<f64>,
}

/// A version of the configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigurationVersion)]
pub struct VersionBody {
    /// Counted from 1.
    version: u64,
    /// When it was stored.
    stored_at: Moment,
    /// Its author, as given.
    by: String,
}

/// A new configuration, complete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// Every value that `GET` shows.
    #[schema(value_type = Object)]
    configuration: Value,
    /// The version that it is based on, 0 for none; the header `if-match` says the same.
    #[serde(default)]
    expect_version: Option<u64>,
    /// The author of the change, stored with the version, where the API asks for no authentication.
    /// Otherwise the name of the principal is stored, and this is ignored.
    #[serde(default)]
    by: Option<String>,
}

impl ConfigurationBody {
    async fn read(queue: &Client, version: Option<u64>) -> Result<Option<Self>, Error> {
        let kept = queue.configurations(VERSIONS).await?;
        let shown = match version {
            Some(version) => kept.iter().find(|each| each.version == version),
            None => kept.first(),
        };
        if version.is_some() && shown.is_none() {
            return Ok(None);
        }
        let limits_apart = match shown {
            Some(shown) => queue.limits_apart(&shown.configuration).await?,
            None => Vec::new(),
        };
        let versions = kept.iter().map(|each| VersionBody {
            version: each.version,
            stored_at: Moment(each.at),
            by: each.by.clone(),
        });
        Ok(Some(Self {
            queue: queue.name().to_string(),
            version: shown.map_or(0, |shown| shown.version),
            stored_at: shown.map(|shown| Moment(shown.at)),
            by: shown.map(|shown| shown.by.clone()),
            configuration: shown.map(|shown: &StoredConfiguration| shown.configuration.document()),
            limits_apart: limits_apart.into_iter().map(LimitApart::new).collect(),
            versions: versions.collect(),
        }))
    }

    fn tagged(self) -> Response {
        let tag = format!("\"{}\"", self.version);
        (AppendHeaders([(header::ETAG, tag)]), Json(self)).into_response()
    }
}

impl LimitApart {
    fn new((key, limit): (LimitKey, Limit)) -> Self {
        let Limit { concurrency, rate, burst, weight } = limit;
        Self { key: key.to_string(), concurrency, rate, burst, weight }
    }
}

/// Shows the configuration of a queue.
///
/// The header `etag` carries the version.
#[utoipa::path(
    get,
    path = "/v1/queues/{queue}/configuration",
    operation_id = "get_configuration",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(
        ("queue" = String, Path, description = "The queue", example = "invoices"),
        ("version" = Option<u64>, Query, minimum = 1, maximum = 4294967295_i64, description = "An earlier version that is kept"),
    ),
    responses(
        (status = 200, description = "The configuration", body = ConfigurationBody),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    Path(queue): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &["version"])?;
    let version = query.within("version", 1, u32::MAX as usize)?.map(|version| version as u64);
    let queue = state.queue_of_address(&caller, &queue)?;
    match state.read(|| ConfigurationBody::read(queue, version)).await? {
        Some(body) => Ok(body.tagged()),
        None => {
            let remedy = "it is not kept: the list `versions` names those that are";
            Err(Problem::parameter("version", query.text("version").unwrap_or_default(), remedy))
        }
    }
}

/// Changes the configuration of a queue, in all processes.
///
/// The request has the complete configuration and the version that it is based on, so that it does
/// not undo another change by accident. The call sets the limits that the new version names
/// differently from the previous version, and clears limits that only the previous version named.
/// Other limits stay.
#[utoipa::path(
    put,
    path = "/v1/queues/{queue}/configuration",
    operation_id = "put_configuration",
    extensions(("x-right" = json!("configure")), ("x-scope" = json!("all-tenants"))),
    tag = "queues",
    params(
        ("queue" = String, Path, description = "The queue", example = "invoices"),
        ("if-match" = Option<String>, Header, description = "The version that the change was made from, as `etag` had it; instead of `expect_version`"),
    ),
    request_body(content = Configure, description = "The configuration"),
    responses(
        (status = 200, description = "It is in force", body = ConfigurationBody),
        (status = 400, description = "The body cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue of this name is in the settings", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "Another version is stored; the problem names both", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn apply(
    State(state): State<Shared>,
    caller: Caller,
    Path(queue): Path<String>,
    act: Act,
    headers: HeaderMap,
    Body(said): Body<Configure>,
) -> Result<Response, Problem> {
    let operator = state.operator_of_address(&caller, &queue)?;
    let queue = operator.client();
    let expected = expected(&headers, said.expect_version)?;
    let configuration = Configuration::read(&said.configuration).map_err(Error::from)?;
    let by = &caller.author(said.by.as_deref().unwrap_or(NOBODY));
    let before = state.ask(queue.configuration()).await?;
    match state.ask_for_many(operator.configure(&configuration, expected, by)).await? {
        Configured::Stored(version) => {
            act.before(json!({ "version": expected }));
            act.after(json!({ "version": version }));
            if let Some(before) = before.filter(|before| before.version == expected) {
                let differences = before.configuration.differences(&configuration);
                let members = |value: fn(&Difference) -> Value| -> Value {
                    let named = differences.iter().map(|each| (each.key.clone(), value(each)));
                    Value::Object(named.collect())
                };
                act.before(members(|each| each.from.clone()));
                act.after(members(|each| each.to.clone()));
            }
            tracing::info!(queue = %queue.name(), version, by, "configuration changed by hand");
        }
        Configured::Conflict(stored) => return Err(Problem::version(queue.name(), expected, stored)),
    }
    match state.read(|| ConfigurationBody::read(queue, None)).await? {
        Some(body) => Ok(body.tagged()),
        None => Err(Problem::internal("a configuration that was just stored is gone")),
    }
}

/// The version that a change is based on.
fn expected(headers: &HeaderMap, said: Option<u64>) -> Result<u64, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        return said.ok_or_else(|| {
            let remedy = "name the version that the change was made from: `expect_version`, or the header \
                          `if-match`; 0 where none is stored";
            Problem::new(Code::InvalidParameter, remedy)
        });
    };
    let tag = tag.to_str().unwrap_or_default();
    let version = tag.trim().trim_matches('"').parse().ok();
    match (version, said) {
        (Some(version), None) => Ok(version),
        (Some(version), Some(said)) if version == said => Ok(version),
        (Some(_), Some(said)) => {
            Err(Problem::parameter("if-match", tag, format!("`expect_version` is {said}: send one of them")))
        }
        (None, _) => Err(Problem::parameter("if-match", tag, "send the version, as `etag` had it: \"3\"")),
    }
}
