//! `GET /v1/jobs/{id}/progress`: streams the changes of a job as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        AppendHeaders, IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, future, stream};
use upshot_queue::JobId;

use crate::{
    accepted::{ACCEPTED, AcceptedAt},
    access::{self, Caller},
    known::Known,
    links::Links,
    live::{Seen, Watch},
    problem::{Code, Details, Problem},
    query::Query,
    shown::Shown,
    state::{Shared, job_id},
    view::{ProgressEvent, Snapshot},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a silent stream sends a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the stream looks for a job that is not there yet.
const LOOK: Duration = Duration::from_secs(5);
/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Streams a job's progress.
///
/// The server-sent events are first `snapshot`, then `change` whenever the job changes, then `end`,
/// after which the server closes the stream. Each event carries the whole state, so a client need
/// not combine them. `gone` (without useful data) says that the job was forgotten. A slow client
/// skips to the newest state. `id` is the job's revision. A client that reconnects with
/// `Last-Event-ID` gets no snapshot if nothing changed. If it has seen the end, it gets a 204,
/// which ends an `EventSource`. A stream ends when its principal may no longer see the job.
///
/// The link of a 202 carries the parameter `accepted`. For an hour, the stream of a job that is not
/// enqueued yet begins with `waiting`, whose data has that time. It continues with `snapshot` once
/// the job is there.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/progress",
    operation_id = "watch_job",
    extensions(("x-right" = json!("see-own"))),
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("accepted" = Option<i64>, Query, minimum = 0, maximum = 8210266876799999_i64, description = "When the event was accepted, UTC ms: as in the links of a 202"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that the client saw"),
    ),
    responses(
        (status = 200, description = "Events `waiting`, `snapshot`, `change`, `end`, `gone`; the data of `snapshot`, `change` and `end` is a Snapshot", body = ProgressEvent, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and `Last-Event-ID` says that this was seen"),
        (status = 400, description = "This cannot be a job's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (yet, or any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn progress(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref(), &[ACCEPTED])?;
    let (id, accepted) = (job_id(&id)?, AcceptedAt::of(&query)?);
    let last = headers.get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()).map(str::to_owned);
    let ended = access::watch::ended(state.clone(), caller.clone());
    let body = Body { links, shown: state.shown.clone() };
    let events = match state.find_or_accepted(&caller, &id, accepted).await {
        Ok(Ok(known)) => {
            let job = &known.job;
            if job.state.is_final() && last.as_deref() == Some(job.revision.as_str()) {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            // The read above only finds the job's queue. The snapshot comes from the watch, which
            // reads after it has subscribed.
            events(state.live.watch(&job.queue, &job.id), body, last).boxed()
        }
        Ok(Err(_)) => from_the_beginning(state.clone(), caller, body, id, accepted).boxed(),
        // An `EventSource` takes a 503 as final.
        Err(problem)
            if accepted.is_some_and(|at| at.left().is_some()) && problem.is(Code::RedisUnavailable) =>
        {
            from_the_beginning(state.clone(), caller, body, id, accepted).boxed()
        }
        Err(problem) => return Err(problem),
    };
    let events = events.take_until(state.stop.clone().cancelled_owned()).take_until(ended);
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // A proxy that buffers would turn the stream into a long wait.
    Ok((AppendHeaders([("x-accel-buffering", "no")]), stream).into_response())
}

/// The events of a job that is not there yet.
fn from_the_beginning(
    state: Shared,
    caller: Caller,
    body: Body,
    id: JobId,
    accepted: Option<AcceptedAt>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let waiting = accepted.map(|at| {
        // Strings and numbers always serialise.
        let data = serde_json::to_string(&at.not_yet()).unwrap_or_default();
        Ok(Event::default().event("waiting").retry(RECONNECT).data(data))
    });
    let rest = async move {
        match appearance(&state, &caller, &id, accepted).await {
            Some(known) => events(state.live.watch(&known.job.queue, &known.job.id), body, None).boxed(),
            None => stream::once(future::ready(Ok(gone()))).boxed(),
        }
    };
    stream::iter(waiting).chain(stream::once(rest).flatten())
}

/// Waits until a job is there, or the job that stands for it, for as long as the event may be on
/// its way.
async fn appearance(
    state: &Shared,
    caller: &Caller,
    id: &JobId,
    accepted: Option<AcceptedAt>,
) -> Option<Known> {
    // The job may appear in any queue.
    let mut watches: Vec<Watch> = state.queues.keys().map(|queue| state.live.watch(queue, id)).collect();
    loop {
        match state.look_for(caller, id).await {
            Ok(Some(known)) => return Some(known),
            Ok(None) => {}
            Err(problem) if problem.is(Code::RedisUnavailable) => {}
            Err(_) => return None,
        }
        let left = Duration::from_millis(accepted?.left()?);
        if watches.is_empty() {
            return None;
        }
        // The watch sees a new job at once. A poll finds a job that stands for it.
        let seen = future::select_all(watches.iter_mut().map(|watch| Box::pin(appears(watch))));
        let _ = tokio::time::timeout(left.min(LOOK), seen).await;
    }
}

/// Waits until a watch sees a job.
async fn appears(watch: &mut Watch) {
    while !matches!(watch.next().await, Seen::Job(_)) {}
}

/// What the data of a stream is written with.
struct Body {
    links: Links,
    shown: Shown,
}

/// The position of a stream.
enum Phase {
    /// Nothing was sent; the client saw this revision before.
    Start(Option<String>),
    /// This revision was sent.
    Sent(String),
    /// Only the end is left to send.
    End(Box<Event>),
    /// Everything was sent.
    Done,
}

fn events(watch: Watch, body: Body, last: Option<String>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((watch, body, Phase::Start(last)), |(mut watch, body, mut phase)| async {
        loop {
            let before = match phase {
                Phase::End(end) => return Some((Ok(*end), (watch, body, Phase::Done))),
                Phase::Done => return None,
                other => other,
            };
            let known = match watch.next().await {
                Seen::Job(known) => known,
                Seen::Nothing => {
                    phase = before;
                    continue;
                }
                Seen::Gone => return Some((Ok(gone()), (watch, body, Phase::Done))),
            };
            let revision = known.job.revision.clone();
            let (name, seen) = match before {
                Phase::Start(last) => ("snapshot", last),
                Phase::Sent(last) => ("change", Some(last)),
                Phase::End(_) | Phase::Done => return None,
            };
            let next = if known.job.state.is_final() {
                Phase::End(Box::new(event("end", &known, &body)))
            } else {
                Phase::Sent(revision.clone())
            };
            if seen.as_ref() == Some(&revision) {
                phase = next;
                continue;
            }
            let event = event(name, &known, &body);
            let event = if name == "snapshot" { event.retry(RECONNECT) } else { event };
            return Some((Ok(event), (watch, body, next)));
        }
    })
}

fn gone() -> Event {
    Event::default().event("gone").data("{}")
}

fn event(name: &str, known: &Known, body: &Body) -> Event {
    let event = Event::default().event(name).id(&known.job.revision);
    // Strings, numbers and JSON values always serialise.
    let data = serde_json::to_string(&Snapshot::new(known, &body.links, &body.shown)).unwrap_or_default();
    event.data(data)
}
