//! `GET /v1/stream`: one stream for what a page shows.
//!
//! A browser opens six connections to a server, so a page that shows many jobs follows them in one
//! stream.

mod follow;
mod told;

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{AppendHeaders, IntoResponse, Response, Sse, sse::KeepAlive},
};
use futures::{StreamExt, future, stream};
use upshot_access::Right;
use upshot_queue::JobId;

use self::{follow::Follower, told::Told};
use super::subjects;
use crate::{
    access::{self, Caller},
    known::Known,
    links::Links,
    problem::{Code, Details, Problem},
    query::Query,
    state::{Shared, job_id, unknown},
    view::StreamEvent,
};

const PARAMETERS: [&str; 3] = ["job", "subject", "counts"];
/// Jobs that one stream follows at most.
pub(super) const MOST: usize = 100;
/// Jobs that are looked for at the same time.
const LOOKS: usize = 16;
/// How often a silent stream sends a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Streams the changes of many jobs, of a subject, or of the figures.
///
/// Give `job` up to 100 times, `subject` for the jobs about it (those that come later too, within two
/// seconds), `counts=true` for how all routes stand, or several of these. Each job begins with
/// `snapshot` and continues with `change`; both carry the whole state. `gone` says that a job is not
/// there, or not any more. `counts` has what `GET /v1/overview` answers, when it changes, every 250 ms
/// at most; it needs the right `see` and all tenants. `cut` says that the subject has more than 100
/// jobs, of which 100 are followed. A stream of jobs alone says `end` and closes once all have ended;
/// others stay open. A slow client skips to the newest state. A client that reconnects with
/// `Last-Event-ID` gets no snapshot of a job that did not change, and a 204 if all have ended and it
/// has seen that. A stream ends when its principal may no longer see what it shows.
#[utoipa::path(
    get,
    path = "/v1/stream",
    operation_id = "watch_jobs",
    extensions(("x-right" = json!("see-own"))),
    tag = "jobs",
    params(
        ("job" = Option<Vec<String>>, Query, description = "A job; up to 100 times", max_items = 100),
        ("subject" = Option<String>, Query, description = "The jobs about this subject", example = "order-1042"),
        ("counts" = Option<bool>, Query, description = "`true` for how all routes stand"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that the client saw"),
    ),
    responses(
        (status = 200, description = "Events `snapshot`, `change`, `gone`, `cut`, `counts`, `end`", body = StreamEvent, content_type = "text/event-stream"),
        (status = 204, description = "All jobs have ended, and `Last-Event-ID` says that this was seen"),
        (status = 400, description = "A parameter is not known or cannot be used, or there is nothing to follow", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows any of the jobs", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn stream(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (query, texts) = Query::parse_with_list(raw.as_deref(), &PARAMETERS, Some("job"))?;
    let (ids, subject) = (ids(&texts)?, query.text("subject").map(str::to_owned));
    let with_counts = query.flag("counts")?;
    if let Some(subject) = &subject {
        subjects::check(subject)?;
    }
    if ids.is_empty() && subject.is_none() && !with_counts {
        let remedy = "nothing is to be followed: give `job`, `subject` or `counts=true`";
        return Err(Problem::parameter("job", "", remedy));
    }
    if with_counts {
        caller.require(Right::See)?;
        caller.require_everything()?;
    }
    let ended = access::watch::ended(state.clone(), caller.clone());
    let told = Told::of(&headers);
    let found = find(&state, &caller, &ids).await?;
    let is_jobs_alone = subject.is_none() && !with_counts;
    if is_jobs_alone {
        if let (Some(first), true) = (ids.first(), found.iter().all(Option::is_none)) {
            return Err(unknown(first));
        }
        let is_known = |known: &Known| known.job.state.is_final() && told.knows(&known.job);
        if found.iter().all(|known| known.as_ref().is_some_and(is_known)) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let stop = state.stop.clone().cancelled_owned();
    let mut follower = Follower::new(state, caller, links, told);
    for (id, known) in ids.into_iter().zip(found) {
        follower.begin(&id, known.as_ref());
    }
    if let Some(subject) = subject {
        follower.follow_subject(subject);
    }
    if with_counts {
        follower.follow_counts();
    }
    let events = stream::unfold(follower, Follower::next).take_until(stop).take_until(Box::pin(ended));
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // A proxy that buffers would turn the stream into a long wait.
    Ok((AppendHeaders([("x-accel-buffering", "no")]), stream).into_response())
}

/// The ids, each once.
fn ids(texts: &[String]) -> Result<Vec<JobId>, Problem> {
    let mut ids: Vec<JobId> = Vec::new();
    for text in texts {
        let id = job_id(text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > MOST {
            let remedy = format!("a stream follows {MOST} jobs at most: open another one for the rest");
            return Err(Problem::parameter("job", text, remedy));
        }
    }
    Ok(ids)
}

/// Each job that the caller sees. A job that cannot be read does not stop the others.
async fn find(state: &Shared, caller: &Caller, ids: &[JobId]) -> Result<Vec<Option<Known>>, Problem> {
    let mut found = Vec::new();
    for some in ids.chunks(LOOKS) {
        for known in future::join_all(some.iter().map(|id| state.look_for(caller, id))).await {
            found.push(match known {
                Ok(known) => known,
                Err(problem) if problem.is(Code::RedisUnavailable) => return Err(problem),
                Err(_) => None,
            });
        }
    }
    Ok(found)
}
