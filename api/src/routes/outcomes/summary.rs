//! `GET /v1/outcomes/summary`: adds up outcomes.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_ledger::{
    clocks::{RouteTimes, Times},
    summary::{self, DAY_MS, Figures},
};
use upshot_queue::{Client, Error, FigureDay, NO_ROUTE, Snapshot};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    moment::Moment,
    problem::{Details, Problem},
    query::Query,
    state::Shared,
    view::{CauseBody, FiguresBody, TimesBody},
};

const PARAMETERS: [&str; 3] = ["by", "from", "to"];
/// Days that are added up at most.
const DAYS: usize = 92;
/// Fields that are read at most, of all days and queues together, and rows that are shown.
const FIELDS: usize = 4_000;
const ROWS: usize = 200;
/// The name of the kind of routes that are not in the settings.
const UNKNOWN: &str = "unknown";

/// Figures of outcomes.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeSummary {
    /// What a row is: `route`, `kind`, `tenant` or `cause`.
    #[schema(example = "route")]
    by: &'static str,
    /// The beginning of the period: the snapshot before the time that was asked for, or the
    /// beginning of a day; null for the beginning of the queues.
    #[schema(required)]
    from: Option<Moment>,
    /// The end of the period.
    to: Moment,
    /// The beginning of the first hour whose `times` are counted: they are kept for 7 days. Null by
    /// tenant and cause.
    #[schema(required)]
    times_from: Option<Moment>,
    /// Times that found no room in their hour, and are in no row.
    times_uncounted: u64,
    /// The rows: by name, or that of most misses first.
    rows: Vec<SummaryRow>,
    /// Whether there are more rows, or more counts than were read.
    is_cut: bool,
}

/// A row of figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct SummaryRow {
    /// The route, the kind, the tenant or the group of dead jobs. Null for jobs without a tenant; `*`
    /// for those that a day does not count apart.
    #[schema(required, example = "order.completed.v1:invoice.issue")]
    name: Option<String>,
    /// The queue, of a route.
    #[schema(required)]
    queue: Option<String>,
    /// The cause, where the row is one.
    #[schema(required)]
    cause: Option<CauseBody>,
    /// Its figures.
    #[serde(flatten)]
    figures: FiguresBody,
    /// How long its outcomes take, by stage; null by tenant and cause.
    #[schema(required)]
    times: Option<TimesBody>,
}

/// Adds up outcomes by route, kind, tenant or cause.
///
/// By route and kind from the books: over all time, or between two snapshots (to the minute for a
/// day, then to the hour for 90 days). By tenant and cause by whole days (UTC), today if `from` is left
/// out; of causes, only those of missed outcomes. By route and kind also how long outcomes take, by stage,
/// and the oldest open one. The cost does not depend on the number of outcomes.
#[utoipa::path(
    get,
    path = "/v1/outcomes/summary",
    operation_id = "sum_up_outcomes",
    extensions(("x-right" = json!("see"))),
    tag = "outcomes",
    params(
        ("by" = Option<String>, Query, description = "`route` (if it is left out), `kind`, `tenant` or `cause`", example = "route", pattern = "^(route|kind|tenant|cause)$"),
        ("from" = Option<String>, Query, description = "The beginning (RFC 3339)"),
        ("to" = Option<String>, Query, description = "The end; now if it is left out"),
    ),
    responses(
        (status = 200, description = "The figures", body = OutcomeSummary),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn summary(
    State(state): State<Shared>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Json<OutcomeSummary>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let (from, to) = query.period()?;
    let now = state.now().await?;
    let summary = match query.text("by") {
        None | Some("route") => by_books(&state, &caller, "route", from, to, now).await?,
        Some("kind") => by_books(&state, &caller, "kind", from, to, now).await?,
        Some("tenant") => by_days(&state, &caller, "tenant", from, to, now).await?,
        Some("cause") => by_days(&state, &caller, "cause", from, to, now).await?,
        Some(other) => return Err(Problem::parameter("by", other, "use route, kind, tenant or cause")),
    };
    Ok(Json(summary))
}

/// The names of a queue's routes, its books at the beginning and at the end of a period, and the
/// times of the period.
type Ends = (BTreeMap<u32, String>, Snapshot, Snapshot, Times);

async fn ends(queue: &Client, from: Option<i64>, to: Option<i64>, now: i64) -> Result<Ends, Error> {
    let begin = async {
        match from {
            Some(from) => queue.books_at(from).await,
            None => Ok(Snapshot::default()),
        }
    };
    let end = async {
        match to {
            Some(to) => queue.books_at(to).await,
            None => Ok(Snapshot { at: None, books: queue.books().await? }),
        }
    };
    let times = async {
        let routes = queue.routes().await?;
        let period = (from.unwrap_or(0), to.unwrap_or(now));
        let times = Times::read(queue, routes.keys().copied(), period, now).await?;
        Ok::<_, Error>((routes, times))
    };
    let (begin, end, (routes, times)) = future::try_join3(begin, end, times).await?;
    Ok((routes, begin, end, times))
}

async fn by_books(
    state: &Shared,
    caller: &Caller,
    by: &'static str,
    from: Option<i64>,
    to: Option<i64>,
    now: i64,
) -> Result<OutcomeSummary, Problem> {
    caller.require_everything()?;
    // A period that ends in the future ends now.
    let to = to.filter(|to| *to < now);
    let queues = state.queues_of(caller);
    let ends = || future::try_join_all(queues.iter().map(|queue| ends(queue, from, to, now)));
    let read = state.read(ends).await?;
    let begins = read.iter().filter_map(|(_, begin, ..)| begin.at).min();
    let times_from = read.iter().map(|(.., times)| times.from).min();
    let times_uncounted = read.iter().map(|(.., times)| times.uncounted).sum();
    let kinds: BTreeMap<&str, &str> =
        state.intake.all_routes().map(|route| (route.name.as_str(), route.job.as_str())).collect();
    let mut rows: BTreeMap<(String, Option<String>), (Figures, RouteTimes)> = BTreeMap::new();
    for (queue, (routes, begin, end, mut times)) in queues.iter().map(|queue| queue.name()).zip(read) {
        let moved = end.books.since(&begin.books);
        for (number, route) in routes.iter().filter(|(number, _)| **number != NO_ROUTE) {
            let name = match by {
                "kind" => (kinds.get(route.as_str()).copied().unwrap_or(UNKNOWN).to_owned(), None),
                _ => (route.clone(), Some(queue.to_string())),
            };
            let (figures, all) = rows.entry(name).or_default();
            figures.add(&Figures::of(*number, &moved, &end.books));
            all.merge(times.routes.remove(number).unwrap_or_default());
        }
    }
    let is_cut = rows.len() > ROWS;
    type Row = ((String, Option<String>), (Figures, RouteTimes));
    let row = |((name, queue), (figures, times)): Row| SummaryRow {
        name: Some(name),
        queue,
        cause: None,
        figures: FiguresBody::whole(&figures),
        times: Some(TimesBody::new(times)),
    };
    let rows = rows.into_iter().take(ROWS).map(row).collect();
    Ok(OutcomeSummary {
        by,
        from: begins.map(Moment),
        to: Moment(to.unwrap_or(now)),
        times_from: times_from.map(Moment),
        times_uncounted,
        rows,
        is_cut,
    })
}

async fn by_days(
    state: &Shared,
    caller: &Caller,
    by: &'static str,
    from: Option<i64>,
    to: Option<i64>,
    now: i64,
) -> Result<OutcomeSummary, Problem> {
    let to = to.unwrap_or(now).min(now);
    let all = summary::days(from.unwrap_or(to).min(to), to, DAYS + 1);
    let days = all.get(..DAYS.min(all.len())).unwrap_or_default();
    let first = days.last().map(|day| Moment(day * DAY_MS));
    if by == "cause" {
        caller.require_everything()?;
    }
    let queues = state.queues_of(caller);
    let each = (FIELDS / (days.len() * queues.len()).max(1)).max(1);
    let read = || {
        let of_queue = |queue| days.iter().map(move |day| Client::figures_of(queue, *day, each));
        future::try_join_all(queues.iter().copied().flat_map(of_queue))
    };
    let figures: Vec<FigureDay> = state.read(read).await?;
    let mut is_cut = all.len() > DAYS || figures.iter().any(|day| day.is_cut);
    let mut rows: Vec<SummaryRow> = if by == "tenant" {
        let row = |(name, figures): (String, Figures)| SummaryRow {
            name: Some(name).filter(|name| !name.is_empty()),
            queue: None,
            cause: None,
            figures: FiguresBody::verdicts(&figures),
            times: None,
        };
        let is_seen = |(name, _): &(String, Figures)| {
            caller.scope().tenants.has(Some(name.as_str()).filter(|name| !name.is_empty()))
        };
        let mut tenants: Vec<(String, Figures)> =
            summary::by_tenant(&figures).into_iter().filter(is_seen).collect();
        tenants.sort_by_key(|(_, figures)| std::cmp::Reverse((figures.missed, figures.became_overdue)));
        tenants.into_iter().map(row).collect()
    } else {
        let row = |cause: summary::Cause| SummaryRow {
            name: Some(cause.fingerprint.clone()),
            queue: None,
            figures: FiguresBody::missed(cause.missed),
            times: None,
            cause: Some(CauseBody::new(cause, &state.shown)),
        };
        summary::by_cause(&figures).into_iter().map(row).collect()
    };
    is_cut |= rows.len() > ROWS;
    rows.truncate(ROWS);
    Ok(OutcomeSummary { by, from: first, to: Moment(to), times_from: None, times_uncounted: 0, rows, is_cut })
}
