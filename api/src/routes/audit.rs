//! `GET /v1/audit`: the audit log.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use upshot_access::{
    Right,
    acts::{
        Ended,
        list::{Cursor, Filter, Page, Searched},
    },
};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    moment::Moment,
    problem::{Details, Problem},
    query::Query,
    reveal::{REVEAL, Reveal},
    state::Shared,
    view::{ActBody, ActResult, RightName},
};

const PARAMETERS: [&str; 10] =
    ["principal", "right", "operation", "target", "result", "from", "to", REVEAL, "cursor", "limit"];
/// Acts on a page by default, and at most.
const LIMIT: usize = 50;
const MOST: usize = 200;

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The acts, the last ended first. A page with `next` may have fewer than `limit`, or none, because
    /// a page examines a bounded number of entries.
    acts: Vec<ActBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
    /// How far the page searched, if it stopped before it was full; null if it is full or the list
    /// has ended.
    #[schema(required)]
    searched: Option<AuditSearched>,
}

/// How far a page searched that stopped before it was full. `next` may lead to more.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditSearched {
    /// Entries that this page examined.
    entries: usize,
    /// The time of the last examined entry.
    back_to: Moment,
}

/// Lists what principals did.
///
/// Every change over the API is here, and every look at what is redacted: it is on record before it
/// is made, and its result follows. An act without a result is `pending`, and after a minute
/// `unknown`. Refusals and failed logins are here too; of many from one address, only the first of
/// each minute have entries, and the others are counted. The last ended come first. An act that ends
/// while a person turns pages is found at the beginning of the list. Entries are kept for
/// `audit.keep`; the stream `upshot.audit` in RabbitMQ keeps them longer.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "list_acts",
    extensions(("x-right" = json!("see-audit")), ("x-scope" = json!("installation"))),
    tag = "access",
    params(
        ("principal" = Option<String>, Query, description = "Only of this principal: its name, its id, or `local`", example = "shop"),
        ("right" = Option<RightName>, Query, description = "Only with this right"),
        ("operation" = Option<String>, Query, description = "Only of this operation", example = "retry_job"),
        ("target" = Option<String>, Query, description = "Only about this: a job, a queue, a subject, a tenant, a token", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("result" = Option<ActResult>, Query, description = "Only with this result"),
        ("from" = Option<String>, Query, format = DateTime, description = "Only acts that ended at this time or later (RFC 3339)", example = "2026-03-14T09:30:00Z"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only acts that ended at this time or earlier (RFC 3339)", example = "2026-03-15T00:00:00Z"),
        ("reveal" = Option<bool>, Query, description = "`true` for complete mail addresses in what was asked, before and after"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Acts on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<AuditPage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let shown = state.shown.with(Reveal::of(&query, &caller)?);
    let (from, to) = query.period()?;
    let filter = Filter {
        principal: query.name("principal")?,
        right: query.value::<Right>("right")?,
        operation: query.name("operation")?,
        target: query.name("target")?,
        result: query.value::<Ended>("result")?,
        from,
        to,
    };
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let cursor: Option<Cursor> = query.value("cursor")?;
    let Page { acts, next, searched } = state.access(state.acts.list(&filter, cursor, limit)).await?;
    let searched =
        searched.map(|Searched { entries, back_to }| AuditSearched { entries, back_to: Moment(back_to) });
    Ok(Json(AuditPage {
        acts: acts.into_iter().map(|act| ActBody::new(act, &shown)).collect(),
        next: next.map(|next| links.audit(&query.next(&PARAMETERS, &next.to_string()))),
        searched,
    }))
}
