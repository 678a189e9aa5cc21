//! `GET /v1/jobs/{id}/progress`: a job while it changes, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        AppendHeaders, IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream};

use crate::{
    known::Known,
    links::Links,
    live::{Seen, Watch},
    problem::{Details, Problem},
    state::{Shared, job_id},
    view::Snapshot,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a silent stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Streams a job's progress.
///
/// Server-sent events: first `snapshot`, then `change` whenever the job
/// changes, then `end` when it has ended; the server closes the stream behind
/// it. Each carries the whole of it, so nothing has to be put together; `gone`
/// (without data to speak of) says that the job was forgotten. A client that
/// reads slowly skips to the newest state. `id` is the job's revision: a client
/// that connects again with `Last-Event-ID` gets no snapshot if nothing
/// changed, and 204, which ends an `EventSource`, if it has seen the end.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/progress",
    operation_id = "watch_job",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", example = "mrtu2hq6wcbcvkoxmzkhxbs7da"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that was seen"),
    ),
    responses(
        (status = 200, description = "Events `snapshot`, `change`, `end`, `gone`; their data is a Snapshot", body = Snapshot, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and `Last-Event-ID` says that this was seen"),
        (status = 400, description = "This cannot be a job's id", body = Details, content_type = "application/problem+json"),
        (status = 404, description = "No queue knows the job (yet, or any more)", body = Details, content_type = "application/problem+json"),
        (status = 503, description = "Redis does not answer", body = Details, content_type = "application/problem+json"),
    )
)]
pub async fn progress(
    State(state): State<Shared>,
    links: Links,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = state.find_or_original(&job_id(&id)?).await?;
    let job = &known.job;
    let last = headers.get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()).map(str::to_owned);
    if job.state.is_final() && last.as_deref() == Some(job.revision.as_str()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // What was read above only tells where the job is. The snapshot comes from
    // the watch, which reads after it has subscribed.
    let watch = state.live.watch(&job.queue, &job.id);
    let events = events(watch, links, last).take_until(state.stop.clone().cancelled_owned());
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // A proxy that buffers would turn the stream into a long wait.
    Ok((AppendHeaders([("x-accel-buffering", "no")]), stream).into_response())
}

/// Where a stream is.
enum Phase {
    /// Nothing was sent; the client has seen this revision before.
    Start(Option<String>),
    /// This revision was sent.
    Sent(String),
    /// What is left is to say the end.
    End(Box<Event>),
    /// All is said.
    Done,
}

fn events(watch: Watch, links: Links, last: Option<String>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((watch, links, Phase::Start(last)), |(mut watch, links, mut phase)| async {
        loop {
            let before = match phase {
                Phase::End(end) => return Some((Ok(*end), (watch, links, Phase::Done))),
                Phase::Done => return None,
                other => other,
            };
            let known = match watch.next().await {
                Seen::Job(known) => known,
                Seen::Nothing => {
                    phase = before;
                    continue;
                }
                Seen::Gone => {
                    let gone = Event::default().event("gone").data("{}");
                    return Some((Ok(gone), (watch, links, Phase::Done)));
                }
            };
            let revision = known.job.revision.clone();
            let (name, seen) = match before {
                Phase::Start(last) => ("snapshot", last),
                Phase::Sent(last) => ("change", Some(last)),
                Phase::End(_) | Phase::Done => return None,
            };
            let next = if known.job.state.is_final() {
                Phase::End(Box::new(event("end", &known, &links)))
            } else {
                Phase::Sent(revision.clone())
            };
            if seen.as_ref() == Some(&revision) {
                phase = next;
                continue;
            }
            let event = event(name, &known, &links);
            let event = if name == "snapshot" { event.retry(RECONNECT) } else { event };
            return Some((Ok(event), (watch, links, next)));
        }
    })
}

fn event(name: &str, known: &Known, links: &Links) -> Event {
    let event = Event::default().event(name).id(&known.job.revision);
    // Strings, numbers and JSON values always serialise.
    let data = serde_json::to_string(&Snapshot::new(known, links)).unwrap_or_default();
    event.data(data)
}
