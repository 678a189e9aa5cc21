//! `GET /v1/dead` and `/v1/dead/{group}`: failures, grouped by cause.

use std::cmp::Reverse;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_queue::{Client, Error, Group, GroupFilter, Hours};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    state::Shared,
    view::{GroupBody, HistoryBody},
};

const PARAMETERS: [&str; 7] = ["queue", "kind", "since", "until", "past", "skip", "limit"];
/// Groups on a page by default.
const LIMIT: usize = 50;
/// Groups on a page at most.
const MOST: usize = 200;
/// Groups that can be skipped. More groups mean that one message has many forms.
const SKIP: usize = 10_000;

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroups {
    /// The groups, the last failure first.
    groups: Vec<GroupBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
}

/// Lists failures, grouped by cause.
///
/// A cause is class, kind, and the message without the parts that differ from job to job. A group has
/// the jobs that are dead of it, and those that failed so and run again. Groups of several queues are
/// listed together, the last failure first. With `past` come the groups that have no jobs now; they are
/// kept for 30 days.
#[utoipa::path(
    get,
    path = "/v1/dead",
    operation_id = "list_dead",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "dead",
    params(
        ("queue" = Option<String>, Query, description = "Only of this queue"),
        ("kind" = Option<String>, Query, description = "Only of this kind", example = "invoice.issue"),
        ("since" = Option<String>, Query, description = "Only with a failure at this time or later (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Only with a failure before this time (RFC 3339)"),
        ("past" = Option<bool>, Query, description = "Groups that have no jobs now, instead of those with some"),
        ("skip" = Option<usize>, Query, description = "Groups to skip: part of `next`", minimum = 0, maximum = 10000),
        ("limit" = Option<usize>, Query, description = "Groups on a page, 1 to 200; 50 if it is left out", minimum = 1, maximum = 200),
    ),
    responses(
        (status = 200, description = "A page", body = DeadGroups),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn groups(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
) -> Result<Json<DeadGroups>, Problem> {
    let query = Query::parse(raw.as_deref(), &PARAMETERS)?;
    let limit = query.within("limit", 1, MOST)?.unwrap_or(LIMIT);
    let skip = query.within("skip", 0, SKIP)?.unwrap_or_default();
    let filter = GroupFilter {
        past: query.flag("past")?,
        kind: query.name("kind")?,
        since: query.moment("since")?,
        until: query.moment("until")?,
    };
    let queues: Vec<&Client> = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    // One more than shown tells whether there is another page.
    let wanted = skip + limit + 1;
    let read = |queue: &Client| {
        let (queue, filter) = (queue.clone(), filter.clone());
        async move { queue.dead_groups(&filter, wanted).await }
    };
    let found = state.read(|| future::try_join_all(queues.iter().copied().map(read))).await?;
    let mut groups: Vec<(&Client, Group)> = Vec::new();
    for (queue, found) in queues.iter().zip(found) {
        groups.extend(found.into_iter().map(|group| (*queue, group)));
    }
    groups.sort_by_key(|(_, group)| Reverse(group.last_seen));
    let more = groups.len() >= wanted;
    let page: Vec<_> = groups.into_iter().skip(skip).take(limit).collect();
    let hours = state.read(|| hours(&page)).await?;
    let body = |((queue, group), hours): ((&Client, Group), Hours)| {
        GroupBody::new(queue.name(), group, hours, &links, &state.shown)
    };
    let groups = page.into_iter().zip(hours).map(body).collect();
    let next = more.then(|| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in PARAMETERS.iter().filter(|name| **name != "skip") {
            if let Some(value) = query.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("skip", &(skip + limit).to_string());
        links.dead(&pairs.finish())
    });
    Ok(Json(DeadGroups { groups, next }))
}

/// The failures by hour of the groups of a page.
async fn hours(page: &[(&Client, Group)]) -> Result<Vec<Hours>, Error> {
    let mut all = Vec::with_capacity(page.len());
    // Neighbours of one queue are read together.
    for part in page.chunk_by(|(one, _), (other, _)| one.name() == other.name()) {
        let Some((queue, _)) = part.first() else { continue };
        let names: Vec<&str> = part.iter().map(|(_, group)| group.fingerprint.as_str()).collect();
        all.extend(queue.failures_by_hour(&names).await?);
    }
    Ok(all)
}

/// Shows failures of one cause, with their history.
///
/// When they were, whose jobs they hit, what operators did about them, and what became of the jobs that
/// they retried. A group that has no jobs now is kept for 30 days, so that a cause that comes back is
/// known.
#[utoipa::path(
    get,
    path = "/v1/dead/{group}",
    operation_id = "get_dead_group",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "dead",
    params(
        ("group" = String, Path, description = "Its `fingerprint`", example = "5f1d7a84db00d2fc"),
        ("queue" = Option<String>, Query, description = "Of this queue; the one with the last such failure if it is left out"),
    ),
    responses(
        (status = 200, description = "The group", body = HistoryBody),
        (status = 400, description = "A parameter is not known or cannot be used", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue has such a group (any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn group(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(group): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<HistoryBody>, Problem> {
    let query = Query::parse(raw.as_deref(), &["queue"])?;
    let queues: Vec<&Client> = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    let group = fingerprint("group", group)?;
    let read = || future::try_join_all(queues.iter().map(|queue| queue.dead_group(&group)));
    let found = queues.iter().zip(state.read(read).await?);
    let known =
        found.filter_map(|(queue, found)| found.map(|(group, history)| (queue.name(), group, history)));
    let Some((queue, group, history)) = known.max_by_key(|(_, group, _)| group.last_seen) else {
        let detail = format!(
            "no failure of group `{group}` is known: a group without jobs is forgotten after 30 days; `GET /v1/dead` lists \
             the known ones"
        );
        return Err(Problem::new(Code::UnknownFailures, detail));
    };
    Ok(Json(HistoryBody::new(queue, group, history, &links, &state.shown)))
}

/// Checks the name of a group.
///
/// # Errors
/// A 400 where it can be none.
pub fn fingerprint(name: &str, given: String) -> Result<String, Problem> {
    let is_one = given.len() == 16 && given.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_one {
        Ok(given)
    } else {
        Err(Problem::parameter(name, &given, "give a `fingerprint` of `GET /v1/dead`"))
    }
}
