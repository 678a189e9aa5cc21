//! `GET /v1/jobs`: pages through the queues, one after another.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use upshot_queue::{Client, Cursor, Filter, QueueName, Searched};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    known::Known,
    links::Links,
    problem::{Details, Problem},
    query::Query,
    state::Shared,
    view::{JobState, JobSummary},
};

const PARAMETERS: [&str; 7] = ["state", "queue", "kind", "tenant", "subject", "cursor", "limit"];
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
/// of their ids. Follow `next` until it is null.
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
        ("subject" = Option<String>, Query, description = "Only about this subject", example = "order-1042"),
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
    let filter = Filter {
        state: query.value("state")?,
        subject: query.name("subject")?,
        kind: query.name("kind")?,
        tenant: caller.tenant(query.name("tenant")?)?,
    };
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
    let jobs = jobs.iter().map(|known| JobSummary::new(known, &links, &state.shown)).collect();
    // How many jobs were examined would count those of other tenants.
    let searched = searched
        .filter(|_| caller.sees_everything())
        .map(|(queue, Searched { jobs, state })| SearchedBody { jobs, queue: queue.to_string(), state });
    Ok(Json(JobPage { jobs, next, searched }))
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
