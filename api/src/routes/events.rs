//! `POST /v1/events`: an event over HTTP, passed on to RabbitMQ.
//!
//! The API does not enqueue: the only way into a queue is through the bridge. The answer says where
//! to find the jobs.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use serde::Serialize;
use upshot_queue::{NewJob, QueueName, Reconciled};
use upshot_runtime::known::{self, Found};
use upshot_shared::{
    Event, Proof, Reason, Rejection,
    event::{Envelope, STRUCTURED},
    intake, rejection,
};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    accepted::AcceptedAt,
    access::Caller,
    binding, body,
    links::Links,
    problem::{Code, Details, Problem},
    state::Shared,
    view::{CloudEvent, EventRef, JobState},
};

/// How long the API waits to learn whether the event is known. It accepts the event even if it does
/// not learn that.
const LOOK: Duration = Duration::from_millis(300);

/// An accepted event: RabbitMQ has it on disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// The event.
    event: EventRef,
    /// The jobs that it becomes. Their ids follow from the event, so a client can ask for them at
    /// once. The jobs are not there until the bridge has enqueued them.
    jobs: Vec<ExpectedJob>,
    /// What it confirms by a rule (`[[confirmations]]`, `[[expectations]]`). The queue holds the
    /// confirmation once the bridge has handed it over.
    confirmations: Vec<ExpectedConfirmation>,
    /// Whether the event was known before; null when Redis does not answer.
    #[schema(required, example = false)]
    duplicate: Option<bool>,
    /// Whether its data repairs a job that could not use the first data under the same identity.
    /// The job then runs again.
    repairs: bool,
}

/// A job that an event becomes, or whose duplicate the event is under the idempotency key of its
/// route.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectedJob {
    /// Its id.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    id: String,
    /// Its queue.
    #[schema(example = "invoices")]
    queue: String,
    /// The kind of work.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// Its state, if the job was there before this request; null otherwise.
    #[schema(required, value_type = Option<JobState>)]
    state: Option<upshot_queue::State>,
    /// The job. Before it is enqueued, this link, `progress` and `outcome` carry the parameter
    /// `accepted`: for an hour they answer "not yet" instead of 404.
    url: String,
    /// Its progress, as server-sent events.
    progress: String,
    /// Its outcome.
    outcome: String,
}

/// A confirmation that an event is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectedConfirmation {
    /// The queue of the jobs that wait for it.
    #[schema(example = "expectations")]
    queue: String,
    /// What they wait for.
    #[schema(example = "delivery order-1042")]
    key: String,
    /// The signal that the queue keeps.
    url: String,
}

/// Publishes an event.
///
/// Takes one CloudEvent 1.0, structured (`application/cloudevents+json`) or
/// binary (`ce-` headers). Answers when RabbitMQ has confirmed it; the jobs
/// follow within milliseconds. Sending the same event again is safe: it finds
/// the same jobs, and the answer says so.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publish_event",
    extensions(("x-right" = json!("publish"))),
    tag = "events",
    params(
        ("ce-specversion" = Option<String>, Header, description = "In binary mode: `1.0`"),
        ("ce-id" = Option<String>, Header, description = "In binary mode: the event's id"),
        ("ce-source" = Option<String>, Header, description = "In binary mode: its source"),
        ("ce-type" = Option<String>, Header, description = "In binary mode: its type"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context; one of another form is passed over"),
    ),
    request_body(
        content((CloudEvent = "application/cloudevents+json"), (serde_json::Value = "application/json")),
        description = "The event. In binary mode the body is its data and the attributes are `ce-` headers.",
        example = json!({
            "specversion": "1.0",
            "id": "5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42",
            "source": "/shops/berlin",
            "type": "order.completed.v1",
            "subject": "order-1042",
            "time": "2026-03-14T09:26:53Z",
            "data": {
                "order_number": "1042",
                "completed_at": "2026-03-14T10:26:53+01:00",
                "currency": "EUR",
                "customer": {
                    "name": "Ada Lindqvist",
                    "email": "ada@lindqvist.example",
                    "address": ["Storgatan 5", "114 51 Stockholm", "Sweden"]
                },
                "lines": [
                    {"description": "Espresso beans, 1 kg", "quantity": 2, "unit_price": "24.90", "vat_rate": "7"}
                ]
            }
        })
    ),
    responses(
        (status = 202, description = "RabbitMQ has the event; `Location` says where to look", body = Accepted,
            headers(("Location" = String, description = "The job, or the outcomes of the event when it becomes several jobs, or what it confirms when it becomes none"))),
        (status = 400, description = "The body is not JSON", body = Details, content_type = "application/problem+json"),
        (status = 409, description = "An event of the same source and id was accepted with other data or for another tenant: the event was not published", body = Details, content_type = "application/problem+json"),
        (status = 413, description = "The event is too large", body = Details, content_type = "application/problem+json"),
        (status = 415, description = "This is no CloudEvent", body = Details, content_type = "application/problem+json"),
        (status = 422, description = "An attribute is missing or wrong, no route knows the type, the data violates its contract, or a route needs a value that the event lacks; `reason` and `place` say which and where", body = Details, content_type = "application/problem+json"),
        (status = 429, description = "The principal publishes more than `api.publish_rate` events a second; not published", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "RabbitMQ has not confirmed. `detail` says whether the event was not published, or whether that is unknown: send the same event again under the same id", body = Details, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub async fn accept(
    State(state): State<Shared>,
    caller: Caller,
    links: Links,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let headers = request.headers().clone();
    let body = body::whole(request, &state).await?.map_err(|refused| unreadable(&state, &refused))?;
    let (message, intake::Accepted { event, jobs: expected, confirmations }) =
        decode(&state, &headers, &body).inspect_err(|rejection| {
            metrics::counter!("upshot_api_events_total", "result" => rejection.reason.as_str()).increment(1);
        })?;
    caller.publishes(&event.source, event.tenant.as_deref())?;
    state.people.count_event(&caller.principal().identity.to_string())?;
    // The lookup comes before the publish: a job that is found here was there before.
    let known = look_up(&state, &caller, &expected).await;
    let found = || known.iter().flatten().flatten();
    for Found { job, reconciled } in found() {
        if let Some(Reconciled::Conflict(conflict)) = reconciled {
            let rejection = rejection::conflicting(&job.id, *conflict);
            metrics::counter!("upshot_api_events_total", "result" => rejection.reason.as_str()).increment(1);
            return Err(rejection.into());
        }
    }
    let repairs = found().any(|known| known.reconciled == Some(Reconciled::Repaired));
    state.publisher.publish_event(&event, &message).await?;
    let confirmation = |Proof { queue, condition, .. }: &Proof| ExpectedConfirmation {
        queue: queue.to_string(),
        key: state.shown.text(condition.key()),
        url: links.signal(queue, condition),
    };
    let confirmations: Vec<_> = confirmations.iter().map(confirmation).collect();
    let duplicate = known.as_ref().map(|jobs| jobs.iter().any(Option::is_some));
    let result = if duplicate == Some(true) { "duplicate" } else { "accepted" };
    metrics::counter!("upshot_api_events_total", "result" => result).increment(1);
    let known = known.unwrap_or_else(|| expected.iter().map(|_| None).collect());
    // Jobs that were not found may be known from here on.
    let is_there = known.iter().all(Option::is_some);
    let later = links.of_accepted(AcceptedAt::now());
    let expected_job = |((queue, job), known): (&(QueueName, NewJob), Option<Found>)| {
        let links = if known.is_some() { &links } else { &later };
        // With an idempotency key it may be the job of another event.
        let (id, kind, state) = known.map_or_else(
            || (job.id.clone(), job.kind.clone(), None),
            |Found { job, .. }| (job.id, job.kind, Some(job.state)),
        );
        ExpectedJob {
            queue: queue.to_string(),
            kind,
            state,
            url: links.job(&id),
            progress: links.progress(&id),
            outcome: links.outcome(&id),
            id: id.to_string(),
        }
    };
    let jobs: Vec<ExpectedJob> = expected.iter().zip(known).map(expected_job).collect();
    let location = location(if is_there { &links } else { &later }, &event, &jobs, &confirmations);
    let event = EventRef { source: event.source, id: event.id, kind: event.kind };
    let accepted = Accepted { event, jobs, confirmations, duplicate, repairs };
    Ok((StatusCode::ACCEPTED, AppendHeaders([(header::LOCATION, location)]), Json(accepted)))
}

/// The limit on a body. The API does not read an event that exceeds it.
pub fn limit(state: &Shared) -> DefaultBodyLimit {
    DefaultBodyLimit::max(state.max_event_bytes)
}

fn unreadable(state: &Shared, refused: &BytesRejection) -> Problem {
    if refused.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!(
            "the limit is {} bytes: put large data into an object store and send its address, \
             or raise `bridge.max_event_bytes`",
            state.max_event_bytes
        );
        metrics::counter!("upshot_api_events_total", "result" => Reason::Oversize.as_str()).increment(1);
        return Rejection::new(Reason::Oversize, "", detail).into();
    }
    Problem::new(Code::BadRequest, refused.body_text())
}

/// Checks the request and the message that is published for it, as the bridge will check the
/// message. Returns the body of an event in structured mode, and its jobs.
fn decode(state: &Shared, headers: &HeaderMap, body: &Bytes) -> Result<(Bytes, intake::Accepted), Rejection> {
    let envelope = binding::envelope(headers)?;
    let accepted = state.intake.accept(&envelope, body)?;
    let Some(structured) = binding::structured(&envelope, body)? else { return Ok((body.clone(), accepted)) };
    // The message carries the trace context of the request, which the body may lack.
    let trace = accepted.event.trace;
    let envelope = Envelope { content_type: Some(STRUCTURED.to_owned()), ..Envelope::default() };
    let mut accepted = state.intake.accept(&envelope, &structured)?;
    accepted.event.trace = trace;
    Ok((structured, accepted))
}

/// The jobs that are known already and that the caller sees, in order; `None` when Redis does not
/// answer.
async fn look_up(
    state: &Shared,
    caller: &Caller,
    expected: &[(QueueName, NewJob)],
) -> Option<Vec<Option<Found>>> {
    let found = tokio::time::timeout(LOOK, known::look_up(&state.queues, expected)).await.ok()?.ok()?;
    Some(found.into_iter().map(|found| found.filter(|found| caller.sees(&found.job))).collect())
}

fn location(
    links: &Links,
    event: &Event,
    jobs: &[ExpectedJob],
    confirmations: &[ExpectedConfirmation],
) -> String {
    match (jobs, confirmations) {
        ([job], _) => return job.url.clone(),
        ([], [confirmation, ..]) => return confirmation.url.clone(),
        _ => {}
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("source", &event.source).append_pair("id", event.identity().text());
    links.outcomes(&query.finish())
}
