//! `GET /v1/dead`: dead jobs, grouped by cause.

use std::cmp::Reverse;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use futures::future;
use serde::Serialize;
use upshot_queue::Client;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    links::Links,
    problem::{Details, Problem},
    query::Query,
    state::Shared,
    view::GroupBody,
};

const PARAMETERS: [&str; 3] = ["queue", "skip", "limit"];
/// Groups on a page by default.
const LIMIT: usize = 50;
/// Groups on a page at most.
const MOST: usize = 200;
/// Groups that can be skipped. More groups mean that one message has many forms.
const SKIP: usize = 10_000;

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroups {
    /// The groups, the last seen first.
    groups: Vec<GroupBody>,
    /// The next page; null when this is the last one.
    #[schema(required)]
    next: Option<String>,
}

/// Lists dead jobs, grouped by cause.
///
/// A cause is class, kind, and the message without the parts that differ from job to job. Groups of
/// several queues are listed together, the last seen first.
#[utoipa::path(
    get,
    path = "/v1/dead",
    operation_id = "list_dead",
    extensions(("x-right" = json!("see")), ("x-scope" = json!("all-tenants"))),
    tag = "dead",
    params(
        ("queue" = Option<String>, Query, description = "Only of this queue"),
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
    let queues: Vec<&Client> = match query.text("queue") {
        Some(name) => vec![state.queue_of_parameter(&caller, name)?],
        None => state.queues_of(&caller),
    };
    // One more than shown tells whether there is another page.
    let wanted = skip + limit + 1;
    let read = |queue: &Client| {
        let queue = queue.clone();
        async move { queue.dead_groups(0, wanted).await.map(|groups| (queue, groups)) }
    };
    let found = state.read(|| future::try_join_all(queues.iter().copied().map(read))).await?;
    let mut groups: Vec<GroupBody> = found
        .into_iter()
        .flat_map(|(queue, groups)| {
            let (links, shown) = (&links, &state.shown);
            groups.into_iter().map(move |group| GroupBody::new(queue.name(), group, links, shown))
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.last_seen));
    let more = groups.len() >= wanted;
    let groups = groups.into_iter().skip(skip).take(limit).collect();
    let next = more.then(|| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in ["queue", "limit"] {
            if let Some(value) = query.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("skip", &(skip + limit).to_string());
        links.dead(&pairs.finish())
    });
    Ok(Json(DeadGroups { groups, next }))
}
