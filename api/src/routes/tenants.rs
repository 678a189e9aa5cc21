//! `GET /v1/tenants` and `/v1/tenants/{tenant}`: figures by tenant.

use std::cmp::Reverse;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_ledger::{
    summary::{self, DAY_MS, Figures, by_tenant},
    tenants::{DAYS, Order, TenantFigures, Tenants, tenants},
};
use upshot_queue::{Client, FigureDay, Group, QueueName};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    moment::Moment,
    problem::{Details, Problem},
    query::Query,
    shown::Shown,
    state::Shared,
    view::{CauseBody, FiguresBody},
};

const PARAMETERS: [&str; 3] = ["sort", "skip", "limit"];
/// Tenants on a page by default, and at most.
const LIMIT: usize = 50;
const PAGE: usize = 200;
/// Tenants that can be skipped.
const SKIP: usize = 1_000;
/// Fields of a day that are read of a queue: more than a day has.
const FIELDS: usize = 10_000;
/// Causes that are shown of a tenant.
const CAUSES: usize = 3;

/// A page of tenants.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantPage {
    /// As of when the figures are: each is counted in the moment of what it counts.
    as_of: Moment,
    /// The beginning of today (UTC).
    today_from: Moment,
    /// The beginning of the 30 days, today included.
    days_from: Moment,
    /// The busiest 1,000 tenants in order.
    tenants: Vec<TenantRow>,
    /// The others together: beyond the busiest 1,000, and those for which a day had no room. Null for a
    /// principal of some tenants.
    #[schema(required)]
    others: Option<BothBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
}

/// A tenant and its figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantRow {
    /// The tenant; null for jobs without one.
    #[schema(required, example = "acme")]
    tenant: Option<String>,
    #[serde(flatten)]
    open: OpenBody,
    #[serde(flatten)]
    figures: BothBody,
}

/// Outcomes without a verdict now.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = TenantOpen)]
pub struct OpenBody {
    /// Outcomes without a verdict now: open, awaiting, overdue and reopened ones.
    open: u64,
    /// Those of them that are overdue.
    overdue: u64,
}

/// Figures of today and of 30 days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantFigures)]
pub struct BothBody {
    /// Verdicts and overdues of today.
    today: FiguresBody,
    /// The same of 30 days, today included.
    days: FiguresBody,
}

impl BothBody {
    fn new(figures: &TenantFigures) -> Self {
        Self { today: FiguresBody::verdicts(&figures.today), days: FiguresBody::verdicts(&figures.days) }
    }
}

/// Lists tenants with their figures.
///
/// What has no verdict now, and what was achieved, missed, overdue, cancelled and waived today and in 30
/// days. A tenant is listed from its first verdict or overdue outcome on. The transition that is
/// counted and its count are one write, so the figures are exact as of the answer. A day counts about 1,000
/// tenants apart; further ones count for `others`. A principal of some tenants sees these.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    operation_id = "list_tenants",
    extensions(("x-right" = json!("see"))),
    tag = "outcomes",
    params(
        ("sort" = Option<String>, Query, description = "What comes first, of 30 days: most `missed` (if it is left out), `overdue`, `late` or `verdicts`", pattern = "^(missed|overdue|late|verdicts)$"),
        ("skip" = Option<usize>, Query, description = "Tenants to skip: part of `next`", minimum = 0, maximum = 1000),
        ("limit" = Option<usize>, Query, description = "Tenants on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = TenantPage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<TenantPage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let order = match query.text("sort") {
        None | Some("missed") => Order::Missed,
        Some("overdue") => Order::Overdue,
        Some("late") => Order::Late,
        Some("verdicts") => Order::Verdicts,
        Some(other) => {
            return Err(Problem::parameter("sort", other, "use missed, overdue, late or verdicts"));
        }
    };
    let limit = query.within("limit", 1, PAGE)?.unwrap_or(LIMIT);
    let skip = query.within("skip", 0, SKIP)?.unwrap_or_default();
    check_sources(&caller)?;
    let now = state.now().await?;
    let days = days(now);
    let queues = state.queues_of(&caller);
    let mut read: Vec<FigureDay> = Vec::new();
    // Day by day: each is a read of all queues.
    for day in &days {
        let of_day = || future::try_join_all(queues.iter().map(|queue| queue.figures_of(*day, FIELDS)));
        read.extend(state.read(of_day).await?);
    }
    let (today, before) = read.split_at(queues.len().min(read.len()));
    let (today, before) = (seen(&caller, today), seen(&caller, before));
    let Tenants { tenants, others } = tenants(&today, &before, order);
    let more = tenants.len() > skip + limit;
    let page: Vec<_> = tenants.into_iter().skip(skip).take(limit).collect();
    let names: Vec<&str> = page.iter().map(|(name, _)| name.as_str()).collect();
    let open = open_of(&state, &queues, &names).await?;
    let row = |((name, figures), open): ((String, TenantFigures), OpenBody)| TenantRow {
        tenant: Some(name).filter(|name| !name.is_empty()),
        open,
        figures: BothBody::new(&figures),
    };
    let rows = page.into_iter().zip(open).map(row).collect();
    let next = more.then(|| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in PARAMETERS.iter().filter(|name| **name != "skip") {
            if let Some(value) = query.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("skip", &(skip + limit).to_string());
        links.page(&format!("/v1/tenants?{}", pairs.finish()))
    });
    Ok(Json(TenantPage {
        as_of: Moment(now),
        today_from: beginning(days.first()),
        days_from: beginning(days.last()),
        tenants: rows,
        others: caller.sees_everything().then(|| BothBody::new(&others)),
        next,
    }))
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tenant {
    /// The tenant.
    #[schema(example = "acme")]
    tenant: String,
    /// As of when the figures are.
    as_of: Moment,
    #[serde(flatten)]
    open: OpenBody,
    #[serde(flatten)]
    figures: BothBody,
    /// The same by day, the newest first; a day without any is left out.
    by_day: Vec<DayBody>,
    /// The causes by which most of its attempts failed, of groups that have jobs now; at most three.
    causes: Vec<TenantCause>,
}

/// Figures of a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantDay)]
pub struct DayBody {
    /// The beginning of the day (UTC).
    day: Moment,
    #[serde(flatten)]
    figures: FiguresBody,
}

/// A cause of failures of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantCause {
    /// The queue of the group.
    queue: String,
    #[serde(flatten)]
    cause: CauseBody,
    /// Failed attempts of the tenant.
    count: u64,
}

/// Shows the figures of a tenant.
///
/// A tenant is known by its jobs only: one without jobs has figures of 0.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    operation_id = "show_tenant",
    extensions(("x-right" = json!("see"))),
    tag = "outcomes",
    params(("tenant" = String, Path, description = "The tenant, percent-encoded", example = "acme")),
    responses(
        (status = 200, description = "The figures", body = Tenant),
        (status = 400, description = "This cannot be a tenant's name", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Tenant>, Problem> {
    Query::parse(raw.as_deref(), &[])?;
    if tenant.is_empty() || tenant.len() > 512 || tenant.contains(char::is_control) {
        return Err(Problem::parameter("tenant", &tenant, "1 to 512 characters are expected"));
    }
    caller.require_tenant(Some(&tenant))?;
    let now = state.now().await?;
    let days = days(now);
    let queues = state.queues_of(&caller);
    let of_days =
        || future::try_join_all(queues.iter().map(|queue| queue.figures_of_tenant(&days, Some(&tenant))));
    let found = state.read(of_days).await?;
    let failures =
        || future::try_join_all(queues.iter().map(|queue| queue.failures_of_tenant(Some(&tenant))));
    let failures = queues.iter().map(|queue| queue.name()).zip(state.read(failures).await?);
    let mut by_day = Vec::new();
    let mut sum = TenantFigures::default();
    for (nth, day) in days.iter().enumerate() {
        let of_day: Vec<FigureDay> = found.iter().filter_map(|days| days.get(nth).cloned()).collect();
        let figures = by_tenant(&of_day).remove(&tenant).unwrap_or_default();
        if nth == 0 {
            sum.today = figures;
        }
        sum.days.add(&figures);
        if figures != Figures::default() {
            by_day.push(DayBody { day: Moment(day * DAY_MS), figures: FiguresBody::verdicts(&figures) });
        }
    }
    let open = open_of(&state, &queues, &[tenant.as_str()]).await?.pop().unwrap_or_default();
    Ok(Json(Tenant {
        tenant,
        open,
        as_of: Moment(now),
        figures: BothBody::new(&sum),
        by_day,
        causes: causes(failures, &state.shown),
    }))
}

/// What of tenants has no verdict now, over all queues.
async fn open_of(state: &Shared, queues: &[&Client], names: &[&str]) -> Result<Vec<OpenBody>, Problem> {
    let read = || future::try_join_all(queues.iter().map(|queue| queue.open_by_tenant(names)));
    let found = state.read(read).await?;
    let sum = |nth: usize| {
        let of = found.iter().filter_map(|of_queue| of_queue.get(nth));
        of.fold(OpenBody::default(), |sum, of| OpenBody {
            open: sum.open + of.open,
            overdue: sum.overdue + of.overdue,
        })
    };
    Ok((0..names.len()).map(sum).collect())
}

/// The causes of most failures.
fn causes<'a>(
    found: impl Iterator<Item = (&'a QueueName, Vec<(Group, u64)>)>,
    shown: &Shown,
) -> Vec<TenantCause> {
    let mut all: Vec<(&QueueName, Group, u64)> = found
        .flat_map(|(queue, groups)| groups.into_iter().map(move |(group, n)| (queue, group, n)))
        .collect();
    all.sort_by_key(|(.., n)| Reverse(*n));
    let cause = |(queue, group, count): (&QueueName, Group, u64)| {
        let cause = summary::Cause {
            fingerprint: group.fingerprint,
            class: group.class.to_string(),
            kind: group.kind,
            message: group.message,
            missed: 0,
        };
        TenantCause { queue: queue.to_string(), cause: CauseBody::new(cause, shown), count }
    };
    all.into_iter().take(CAUSES).map(cause).collect()
}

/// A principal of some sources, or of one job, does not see all jobs of its tenants.
fn check_sources(caller: &Caller) -> Result<(), Problem> {
    let scope = caller.scope();
    if scope.sources.is_all() && scope.target.is_none() { Ok(()) } else { caller.require_everything() }
}

/// The days, today first.
fn days(now: i64) -> Vec<i64> {
    let longest = (DAYS as i64 - 1) * DAY_MS;
    summary::days(now - longest, now, DAYS)
}

fn beginning(day: Option<&i64>) -> Moment {
    Moment(day.copied().unwrap_or_default() * DAY_MS)
}

/// What the caller may see of these days.
fn seen(caller: &Caller, days: &[FigureDay]) -> Vec<FigureDay> {
    let tenants = &caller.scope().tenants;
    let sees = |name: &str| tenants.has(Some(name).filter(|name| !name.is_empty()));
    let of_day = |day: &FigureDay| FigureDay {
        tenants: day.tenants.iter().filter(|(name, ..)| sees(name)).cloned().collect(),
        ..FigureDay::default()
    };
    days.iter().map(of_day).collect()
}
