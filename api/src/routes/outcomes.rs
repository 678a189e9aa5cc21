//! `/v1/outcomes…`: lists outcomes, adds them up, and shows one.

mod event;
mod remarks;
mod summary;

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use futures::future;
use serde::Serialize;
use upshot_access::Right;
use upshot_ledger::list::{self, Cursor, Filter, Found};
use upshot_queue::{Account, Client};
use utoipa::ToSchema;

use crate::{
    accepted::{ACCEPTED, AcceptedAt, NotYet, answer},
    access::Caller,
    links::Links,
    problem::{Details, Problem},
    query::Query,
    report,
    reveal::{REVEAL, Reveal},
    state::{Shared, job_id, unknown},
    view::{OutcomeReport, OutcomeStatus, STATUSES},
};

pub use remarks::{__path_note, __path_own, __path_waive, note, own, waive};
pub use summary::{__path_summary, summary};

const PARAMETERS: [&str; 10] =
    ["status", "queue", "route", "kind", "tenant", "at_risk", "from", "to", "cursor", "limit"];
/// Outcomes on a page by default, and at most.
const LIMIT: usize = 50;
const MOST: usize = 200;

/// A page of outcomes.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomePage {
    /// The outcomes. A page with `next` may have fewer than `limit`, or none, because a page looks at
    /// a bounded number.
    pub(super) outcomes: Vec<OutcomeReport>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    pub(super) next: Option<String>,
    /// How many outcomes this page looked at, if it stopped before it was full; `next` may lead to
    /// more. Null if it is full, the list has ended, or the principal sees some jobs only.
    #[schema(required)]
    pub(super) searched: Option<usize>,
}

/// Lists outcomes, or shows those of one event.
///
/// With `source` and `id`, the outcomes of an event: one for each known job. If the event is a
/// duplicate of another event under the idempotency key of its route, the outcome is that of the
/// other event's job, and it names that event.
///
/// Otherwise a list. Those without a verdict come oldest due first, verdicts newest first. Without
/// `status`, the list goes from status to status: overdue, reopened, open, missed, partial,
/// cancelled, waived, achieved late, achieved in time. A status and a route are found by an index. With
/// `kind`, `tenant` or `at_risk`, a page looks at a bounded number of outcomes, and `searched` says
/// how far it came. Forgotten jobs that were achieved in time come last, those of one day in no order. Follow `next` until it is
/// null.
#[utoipa::path(
    get,
    path = "/v1/outcomes",
    operation_id = "list_outcomes",
    extensions(("x-right" = json!("see-own"))),
    tag = "outcomes",
    params(
        ("source" = Option<String>, Query, description = "Of an event: its source; `id` goes with it", example = "/shops/berlin"),
        ("id" = Option<String>, Query, description = "Of an event: its id, or its `idempotencykey` if it has one", example = "5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "Of an event: when it was accepted, UTC ms, as in the links of a 202"),
        ("status" = Option<OutcomeStatus>, Query, description = "Only with this status"),
        ("queue" = Option<String>, Query, description = "Only of this queue"),
        ("route" = Option<String>, Query, description = "Only of this route"),
        ("kind" = Option<String>, Query, description = "Only of this kind"),
        ("tenant" = Option<String>, Query, description = "Only of this tenant"),
        ("at_risk" = Option<bool>, Query, description = "`true`: only open ones that will probably be late"),
        ("from" = Option<String>, Query, description = "Not before this time (RFC 3339): the due time of those without a verdict, else the time of the verdict"),
        ("to" = Option<String>, Query, description = "Not after this time"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Outcomes on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page, or the outcomes of the event", body = OutcomePage),
        (status = 202, description = "The event is accepted, none of its jobs enqueued yet", body = NotYet,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 400, description = "A parameter is missing, not known, or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No job of this event is known", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let raw = raw.as_deref();
    let is_of_event = ["source", "id", ACCEPTED].iter().any(|name| Query::names(raw, name));
    if is_of_event {
        return event::outcomes(&state, &caller, &links, raw).await;
    }
    caller.require(Right::See)?;
    let query = Query::parse(raw, &PARAMETERS)?;
    let (from, to) = query.period()?;
    let filter = Filter {
        status: status(&query)?,
        route: query.name("route")?,
        kind: query.name("kind")?,
        tenant: caller.tenant(query.name("tenant")?)?,
        from,
        to,
        at_risk: query.value::<bool>("at_risk")?.unwrap_or(false),
    };
    if filter.at_risk && filter.status.is_some_and(|status| status != Account::Open) {
        let remedy = "only an open outcome is at risk: leave `at_risk` out, or `status`";
        return Err(Problem::parameter("at_risk", "true", remedy));
    }
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let cursor: Option<Cursor> = state.cursor(&caller, &query).await?;
    let queues: Vec<&Client> = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    let now = state.now().await?;
    let read = || list::outcomes(&queues, &filter, cursor.clone(), limit, now, &state.run_times);
    let page = state.read(read).await?;
    let outcomes = report::reports(&state, &page.found, now, &links, &state.shown).await?;
    let next = match &page.next {
        Some(next) => {
            Some(links.outcomes(&query.next(&PARAMETERS, &state.show_cursor(&caller, next).await?)))
        }
        None => None,
    };
    // How many outcomes were examined would count those of other tenants.
    let searched = page.searched.filter(|_| caller.sees_everything());
    Ok(answer(Ok(OutcomePage { outcomes, next, searched })))
}

/// The status of a query: one that an outcome is shown with.
fn status(query: &Query) -> Result<Option<Account>, Problem> {
    let Some(text) = query.text("status") else { return Ok(None) };
    let known = STATUSES.into_iter().find(|status| status.as_str() == text);
    let names = STATUSES.map(Account::as_str).join(", ");
    known.map(Some).ok_or_else(|| Problem::parameter("status", text, format!("use one of {names}")))
}

/// Shows how a job's expectation stands.
///
/// Of a forgotten job, what is left: its verdict, its times and its cause.
#[utoipa::path(
    get,
    path = "/v1/outcomes/{id}",
    operation_id = "show_outcome",
    extensions(("x-right" = json!("see-own"))),
    tag = "outcomes",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("reveal" = Option<bool>, Query, description = "`true` for complete mail addresses"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
    ),
    responses(
        (status = 200, description = "How it stands", body = OutcomeReport),
        (status = 202, description = "The event is accepted, the job not enqueued yet", body = NotYet,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 400, description = "This cannot be a job's id, or a parameter cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn of_job(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &[ACCEPTED, REVEAL])?;
    let (id, accepted) = (job_id(&id)?, AcceptedAt::of(&query)?);
    let shown = state.shown.with(Reveal::of(&query, &caller)?);
    let (looked, now) = future::join(state.find_or_accepted(&caller, &id, accepted), state.now()).await;
    let now = now?;
    let found = match looked {
        Ok(Ok(known)) => Found::Job(Box::new(known.job)),
        absent => {
            if let Some((queue, row)) = state.row(&caller, &id).await? {
                Found::Row(queue, Box::new(row))
            } else {
                let not_yet = absent?.err().ok_or_else(|| unknown(&id))?;
                return Ok(answer(Err::<OutcomeReport, _>(not_yet)));
            }
        }
    };
    let report = report::reports(&state, &[found], now, &links, &shown).await?.pop();
    report.map(|report| answer(Ok(report))).ok_or_else(|| unknown(&id))
}
