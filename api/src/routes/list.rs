//! `GET /v1/jobs`: pages through the queues, one after another.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_queue::{Client, Counts, Cursor, Filter, QueueName, Searched};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::dead::fingerprint;
use crate::{
    access::Caller,
    known::Known,
    links::Links,
    moment::Moment,
    problem::{Details, Problem},
    query::Query,
    state::Shared,
    view::{Class, JobState, JobSummary},
};

const PARAMETERS: [&str; 14] = [
    "state",
    "queue",
    "kind",
    "tenant",
    "route",
    "class",
    "subject",
    "subject_prefix",
    "trace",
    "group",
    "since",
    "until",
    "cursor",
    "limit",
];
/// Jobs on a page by default.
const LIMIT: usize = 50;
/// Jobs on a page at most.
const MOST: usize = 200;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobPage {
    /// The jobs. A page with `next` may have fewer than `limit`, or none, because a page examines a
    /// bounded number of jobs.
    jobs: Vec<JobSummary>,
    /// The next page; null when this is the last one.
    #[schema(
        required,
        example = "http://127.0.0.1:8080/v1/jobs?state=dead&cursor=invoices~5.1773480413000.mrtu2hq6wcbcvkoxmzkhxbs7da"
    )]
    next: Option<String>,
    /// How far the page searched, if it stopped before it was full; null if it is full, the list has
    /// ended, or the principal sees some jobs only.
    #[schema(required)]
    searched: Option<SearchedBody>,
    /// How many jobs the filter selects.
    total: Total,
}

/// How many jobs a filter selects.
#[derive(Debug, Serialize, ToSchema)]
pub struct Total {
    /// So many, or at least so many.
    jobs: u64,
    /// Whether there are exactly so many. It is known without a filter besides `state` and `queue`, and
    /// of a list that has one page.
    is_exact: bool,
}

/// How far a page searched that stopped before it was full. `next` may lead to more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Searched)]
pub struct SearchedBody {
    /// Jobs that this page examined.
    jobs: usize,
    /// The queue in which `next` continues.
    #[schema(example = "invoices")]
    queue: String,
    /// The state in which `next` continues; null for a list of a subject.
    #[schema(required, value_type = Option<JobState>)]
    state: Option<upshot_queue::State>,
}

/// Lists jobs.
///
/// The list goes queue by queue. In each queue it goes by state: scheduled, ready, running, parked,
/// then succeeded, dead and cancelled, the newest first. With `subject` the jobs are in the order
/// of their ids, with `subject_prefix` in that of their subjects. Follow `next` until it is null.
///
/// A page examines a bounded number of jobs, whatever the filter: some 4,000, or 1,000 with `class`.
/// `searched` says that it stopped for this reason, and `next` continues. `since` and `until` begin in
/// the index of parked, succeeded, dead and cancelled jobs, and `state`, `subject` and `subject_prefix`
/// have an index each. The other parameters compare one job after another.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    operation_id = "list_jobs",
    extensions(("x-right" = json!("see"))),
    tag = "jobs",
    params(
        ("state" = Option<JobState>, Query, description = "Only in this state"),
        ("queue" = Option<String>, Query, description = "Only of this queue"),
        ("kind" = Option<String>, Query, description = "Only of this kind", example = "invoice.issue"),
        ("tenant" = Option<String>, Query, description = "Only of this tenant"),
        ("route" = Option<String>, Query, description = "Only of this route", example = "order.completed.v1:invoice.issue"),
        ("class" = Option<Class>, Query, description = "Only jobs whose last failure has this class"),
        ("subject" = Option<String>, Query, description = "Only about this subject", example = "order-1042"),
        ("subject_prefix" = Option<String>, Query, description = "Only about subjects that begin with this text", example = "order-10"),
        ("trace" = Option<String>, Query, description = "Only of the trace with this id: 32 hexadecimal digits", example = "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("since" = Option<Moment>, Query, description = "Only jobs that are in their state since this time or later"),
        ("until" = Option<Moment>, Query, description = "Only jobs that are in their state since before this time"),
        ("group" = Option<String>, Query, description = "Only of this group of failures: first those that run again, by their last failure, then those that are dead", example = "5f1d7a84db00d2fc"),
        ("cursor" = Option<String>, Query, description = "Where to continue: part of `next`"),
        ("limit" = Option<usize>, Query, description = "Jobs on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = JobPage),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn jobs(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<JobPage>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let filter = filter(&caller, &query)?;
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let queues = queues(&state, &caller, &query)?;
    let cursor = match query.text("cursor") {
        Some(given) => Some(state.open_cursor(&caller, "cursor", given).await?),
        None => None,
    };
    let (start, from) = place(cursor.as_deref(), &queues)?;
    let Found { jobs, next, searched } =
        state.read(|| page(&queues, start, from.clone(), &filter, limit)).await?;
    let next = match next {
        Some(next) => Some(state.show_cursor(&caller, &next).await?),
        None => None,
    };
    let next = next.map(|cursor| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in PARAMETERS.iter().filter(|name| **name != "cursor") {
            if let Some(value) = query.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("cursor", &cursor);
        links.jobs(&pairs.finish())
    });
    let jobs: Vec<_> = jobs.iter().map(|known| JobSummary::new(known, &links, &state.shown)).collect();
    // How many jobs were examined would count those of other tenants.
    let searched = searched
        .filter(|_| caller.sees_everything())
        .map(|(queue, Searched { jobs, state })| SearchedBody { jobs, queue: queue.to_string(), state });
    let total = if cursor.is_none() && next.is_some() && is_counted(&caller, &filter) {
        let counts = state.read(|| future::try_join_all(queues.iter().map(|queue| queue.counts()))).await?;
        let of = |counts: &Counts| match filter.state {
            Some(state) => counts.of(state),
            None => upshot_queue::State::ALL.into_iter().map(|state| counts.of(state)).sum(),
        };
        Total { jobs: counts.iter().map(of).sum(), is_exact: true }
    } else {
        Total { jobs: jobs.len() as u64, is_exact: cursor.is_none() && next.is_none() }
    };
    Ok(Json(JobPage { jobs, next, searched, total }))
}

fn filter(caller: &Caller, query: &Query) -> Result<Filter, Problem> {
    let filter = Filter {
        state: query.value("state")?,
        subject: query.name("subject")?,
        subject_prefix: query.name("subject_prefix")?,
        kind: query.name("kind")?,
        tenant: caller.tenant(query.name("tenant")?)?,
        route: query.name("route")?,
        class: query.value("class")?,
        since: query.moment("since")?,
        until: query.moment("until")?,
        trace: query.value("trace")?,
        group: query.name("group")?.map(|group| fingerprint("group", group)).transpose()?,
    };
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && until < since
    {
        let text = query.text("until").unwrap_or_default();
        return Err(Problem::parameter("until", text, "it is before `since`: exchange the two"));
    }
    if filter.subject.is_some() && filter.subject_prefix.is_some() {
        let text = query.text("subject_prefix").unwrap_or_default();
        return Err(Problem::parameter("subject_prefix", text, "give it or `subject`, not both"));
    }
    Ok(filter)
}

/// Whether the queues count what the filter selects.
fn is_counted(caller: &Caller, filter: &Filter) -> bool {
    let Filter { state: _, subject, subject_prefix, kind, tenant, route, class, since, until, trace, group } =
        filter;
    caller.sees_everything()
        && subject.is_none()
        && subject_prefix.is_none()
        && kind.is_none()
        && tenant.is_none()
        && route.is_none()
        && class.is_none()
        && since.is_none()
        && until.is_none()
        && trace.is_none()
        && group.is_none()
}

/// The queues to go through, in order.
fn queues<'a>(state: &'a Shared, caller: &Caller, query: &Query) -> Result<Vec<&'a Client>, Problem> {
    let Some(text) = query.text("queue") else { return Ok(state.queues_of(caller)) };
    Ok(vec![state.queue_of_parameter(caller, text)?])
}

/// Where the list continues: a queue, and a cursor in the queue. The text form is `<queue>~<cursor
/// of the queue>`, with nothing after the tilde for the queue's beginning.
fn place(cursor: Option<&str>, queues: &[&Client]) -> Result<(usize, Option<Cursor>), Problem> {
    let Some(text) = cursor else { return Ok((0, None)) };
    let read = || {
        let (queue, cursor) = text.split_once('~')?;
        let place = queues.iter().position(|each| each.name().as_str() == queue)?;
        let cursor = if cursor.is_empty() { None } else { Some(cursor.parse().ok()?) };
        Some((place, cursor))
    };
    read().ok_or_else(|| {
        Problem::parameter(
            "cursor",
            text,
            "it does not belong to this list: follow `next` of the previous page, unchanged",
        )
    })
}

/// What a page has.
struct Found {
    jobs: Vec<Known>,
    next: Option<String>,
    searched: Option<(QueueName, Searched)>,
}

async fn page(
    queues: &[&Client],
    start: usize,
    mut from: Option<Cursor>,
    filter: &Filter,
    limit: usize,
) -> Result<Found, upshot_queue::Error> {
    let mut jobs: Vec<Known> = Vec::new();
    for queue in queues.iter().skip(start) {
        if jobs.len() == limit {
            return Ok(Found { jobs, next: Some(format!("{}~", queue.name())), searched: None });
        }
        let page = queue.list(filter, from.take(), limit - jobs.len()).await?;
        jobs.extend(Known::complete(queue, page.jobs).await?);
        if let Some(next) = page.next {
            let searched = page.searched.map(|searched| (queue.name().clone(), searched));
            return Ok(Found { jobs, next: Some(format!("{}~{next}", queue.name())), searched });
        }
    }
    Ok(Found { jobs, next: None, searched: None })
}
