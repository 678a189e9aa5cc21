//! `GET /v1/quarantine`: messages that could not be accepted.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_ledger::quarantine::{Cursor, Filter, MessageId, Page, Searched, row::DAMAGED};
use upshot_shared::Reason;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    moment::Moment,
    problem::{Code, Details, Problem},
    query::Query,
    reveal::{REVEAL, Reveal},
    state::Shared,
    view::{QuarantineSummary, QuarantinedBody},
};

const PARAMETERS: [&str; 8] = ["reason", "type", "source", "subject", "since", "until", "cursor", "limit"];
/// Messages on a page by default.
const LIMIT: usize = 50;
/// Messages on a page at most.
const MOST: usize = 200;

/// A page of messages in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantinePage {
    /// The messages, the newest first. A page with `next` may have fewer than `limit`, or none,
    /// because a page examines a bounded number of messages.
    messages: Vec<QuarantinedBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
    /// How far the page searched, if it stopped before it was full; null if it is full or the list
    /// has ended.
    #[schema(required)]
    searched: Option<QuarantineSearched>,
    /// How many messages are in quarantine, whatever the parameters.
    summary: QuarantineSummary,
}

/// How far a page searched that stopped before it was full. `next` may lead to more.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineSearched {
    /// Messages that this page examined.
    messages: usize,
    /// When the last examined message first came.
    back_to: Moment,
}

impl From<Searched> for QuarantineSearched {
    fn from(Searched { rows, back_to }: Searched) -> Self {
        Self { messages: rows, back_to: Moment(back_to) }
    }
}

/// Lists messages in quarantine.
///
/// The list goes by when a message first came, the newest first. Follow `next` until it is null.
/// Listing takes no message out of RabbitMQ.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    operation_id = "list_quarantine",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("installation"))),
    tag = "quarantine",
    params(
        ("reason" = Option<String>, Query, description = "Only with this reason", example = "contract_violation"),
        ("type" = Option<String>, Query, description = "Only of this event type", example = "order.completed.v1"),
        ("source" = Option<String>, Query, description = "Only of this source", example = "/shops/berlin"),
        ("subject" = Option<String>, Query, description = "Only about this subject", example = "order-1042"),
        ("since" = Option<String>, Query, format = DateTime, description = "Only messages that first came at this time or later (RFC 3339)", example = "2026-03-14T09:30:00Z"),
        ("until" = Option<String>, Query, format = DateTime, description = "Only messages that first came before this time (RFC 3339)", example = "2026-03-15T00:00:00Z"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Messages on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = QuarantinePage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer, or the list is damaged", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<QuarantinePage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let filter = Filter {
        reason: reason(&query)?,
        kind: query.name("type")?,
        source: query.name("source")?,
        subject: query.name("subject")?,
        since: query.moment("since")?,
        until: query.moment("until")?,
    };
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let from: Option<Cursor> = query.value("cursor")?;
    let read = || future::try_join(state.quarantine.list(&filter, from, limit), state.quarantine.figures());
    let (Page { rows, next, searched }, figures) = state.read_quarantine(read).await?;
    let depth = state.depths.borrow().map(|depths| depths.quarantine.messages.into());
    let next = next.map(|cursor| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in PARAMETERS.iter().filter(|name| **name != "cursor") {
            if let Some(value) = query.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("cursor", &cursor.to_string());
        links.quarantine(&pairs.finish())
    });
    Ok(Json(QuarantinePage {
        messages: rows.into_iter().map(|row| QuarantinedBody::new(row, &links, &state.shown)).collect(),
        next,
        searched: searched.map(QuarantineSearched::from),
        summary: QuarantineSummary::new(&figures, depth),
    }))
}

/// Shows a message in quarantine.
///
/// What is known of it. The message itself is in RabbitMQ, in the queue `upshot.quarantine`.
#[utoipa::path(
    get,
    path = "/v1/quarantine/{id}",
    operation_id = "show_quarantined",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("installation"))),
    tag = "quarantine",
    params(
        ("id" = String, Path, description = "The message", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("reveal" = Option<bool>, Query, description = "`true` for complete mail addresses"),
    ),
    responses(
        (status = 200, description = "The message", body = QuarantinedBody),
        (status = 400, description = "This cannot be a message's id, or a parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No message of this id is listed (any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer, or the list is damaged", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn message(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<QuarantinedBody>, Problem> {
    let query = Query::parse(raw.as_deref(), &[REVEAL])?;
    let shown = state.shown.with(Reveal::of(&query, &caller)?);
    let id: MessageId = id.parse().map_err(|why| Problem::parameter("id", &id, why))?;
    let row = state.read_quarantine(|| state.quarantine.row(&id)).await?;
    let row = row.ok_or_else(|| {
        let detail = format!(
            "no message {id} is listed: rows are forgotten after `quarantine.keep`; the message may still be in \
             RabbitMQ, in the queue upshot.quarantine"
        );
        Problem::new(Code::UnknownMessage, detail)
    })?;
    Ok(Json(QuarantinedBody::new(row, &links, &shown)))
}

/// The reason that the list is restricted to: one of the bridge's, or that of damaged rows.
fn reason(query: &Query) -> Result<Option<String>, Problem> {
    if query.text("reason") == Some(DAMAGED) {
        return Ok(Some(DAMAGED.to_owned()));
    }
    Ok(query.value::<Reason>("reason")?.map(|reason| reason.as_str().to_owned()))
}
