//! The audit log of the API: every change is on record before it is made.
//!
//! [`record`] stands inside the gate. It writes the intent, runs the operation, and writes the result.
//! Without Redis there is no intent, so nothing is changed. An operation continues when its client
//! disconnects, so that its result is known. [`refusals`] stands outside of the gate and writes what
//! was refused.
//!
//! No entry has a secret, an argument of a job, or a payload: of a body, an entry has named members
//! only ([`mod@asked`]).
//!
//! | module | its one thing |
//! |---|---|
//! | [`act`] | what a handler adds to the entry: before, after, reason |
//! | [`mod@asked`] | what an entry has of a request |
//! | [`changed`] | where two documents differ |
//! | [`write`] | writes entries, and repeats what Redis did not take |

pub mod act;
mod asked;
pub mod changed;
mod write;

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tracing::Instrument;
use upshot_access::{Right, acts::Intent};
use utoipa::openapi::{OpenApi, RefOr, path::ParameterIn};

pub use act::Act;
pub use write::write_suppressed;

use super::{
    Caller,
    table::{Entry, Needed, Table},
};
use crate::{
    body,
    problem::{Code, Problem},
    query::Query,
    state::Shared,
};

/// Operations that change nothing which the log should have: an event is not an act of an operator,
/// and has its own record; a ticket only opens a stream.
const NOT_RECORDED: [&str; 2] = ["publish_event", "create_ticket"];
/// The parameter that shows what is redacted.
const REVEAL: &str = "reveal";

/// What records need to know of the operations. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Parts>);

struct Parts {
    state: Shared,
    table: Table,
    /// The query parameters of each operation.
    parameters: HashMap<String, Vec<String>>,
}

/// Marks the answer of an act, which is on record.
#[derive(Clone, Copy)]
struct Recorded;

impl Recorder {
    /// A recorder of the operations of a document.
    pub fn new(state: Shared, document: &OpenApi) -> Self {
        let table = Table::of(document);
        write::describe(table.entries().filter_map(|entry| match entry.needed {
            Needed::Right(right) => Some(right),
            _ => None,
        }));
        let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
        for item in document.paths.paths.values() {
            for operation in
                [&item.get, &item.put, &item.post, &item.delete, &item.patch].into_iter().flatten()
            {
                let named = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                        Some(parameter.name.clone())
                    }
                    _ => None,
                });
                let id = operation.operation_id.clone().unwrap_or_default();
                parameters.entry(id).or_default().extend(named);
            }
        }
        Self(Arc::new(Parts { state, table, parameters }))
    }

    fn entry(&self, address: Option<&MatchedPath>, method: &Method) -> Option<&Entry> {
        self.0.table.entry(address?.as_str(), method)
    }

    /// What a request is about to do, as far as its head says it.
    async fn intent(&self, request: &mut Request, entry: Option<&Entry>) -> Intent {
        let known = entry.and_then(|entry| self.0.parameters.get(&entry.operation));
        let mut intent = asked::of_head(request, known.map_or(&[][..], Vec::as_slice)).await;
        intent.right = entry.and_then(|entry| right(entry, request.method()));
        intent.operation = entry.map(|entry| entry.operation.clone()).unwrap_or_default();
        intent.principal =
            request.extensions().get::<Caller>().map(|caller| caller.principal().identity.clone());
        intent
    }
}

/// The right that a request uses.
fn right(entry: &Entry, method: &Method) -> Option<Right> {
    if method.is_safe() && !matches!(entry.needed, Needed::Right(Right::SeeAudit)) {
        // A read is an act only where it shows what is redacted.
        return match entry.needed {
            Needed::Right(Right::See | Right::SeeOwn) => Some(Right::SeeArguments),
            Needed::Right(right) => Some(right),
            _ => None,
        };
    }
    match entry.needed {
        Needed::Right(right) => Some(right),
        _ => None,
    }
}

/// Whether a request is an act: it changes something, or shows what is redacted.
fn is_act(entry: &Entry, request: &Request) -> bool {
    if request.method().is_safe() {
        return Query::names(request.uri().query(), REVEAL);
    }
    !NOT_RECORDED.contains(&entry.operation.as_str())
}

/// Runs an operation with its intent on record before it, and its result after it.
pub async fn record(
    State(recorder): State<Recorder>,
    address: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(entry) = recorder.entry(address.as_ref(), request.method()) else {
        return next.run(request).await;
    };
    if !is_act(entry, &request) {
        return next.run(request).await;
    }
    let mut intent = recorder.intent(&mut request, Some(entry)).await;
    if body::is_json(request.headers()) && !request.method().is_safe() {
        match with_body(&recorder.0.state, request, &mut intent).await {
            Ok(whole) => request = whole,
            Err(problem) => return problem.into_response(),
        }
    }
    let act = Act::default();
    request.extensions_mut().insert(act.clone());
    if entry.needed == Needed::Nothing {
        return login(&recorder, intent, &act, next.run(request).await);
    }
    let begun = match write::intend(&recorder.0.state, intent).await {
        Ok(begun) => begun,
        Err(problem) => return problem.into_response(),
    };
    // A client that disconnects drops this future, and not the task.
    let state = recorder.0.state.clone();
    let running = async move {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        write::conclude(&state, begun, act.conclusion(answer.as_ref().ok())).await;
        answer
    };
    match tokio::spawn(running.in_current_span()).await {
        Ok(Ok(mut response)) => {
            response.extensions_mut().insert(Recorded);
            response
        }
        // The layer that catches panics makes the answer.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// An operation that needs no right makes its principal known: a login. It is on record once it
/// succeeded, with the `Identity` that its handler puts into the extensions of the answer. What fails
/// is a refusal.
fn login(recorder: &Recorder, intent: Intent, act: &Act, mut response: Response) -> Response {
    if response.status().is_success() {
        write::login(recorder.0.state.clone(), intent, act.conclusion(Some(&response)));
        response.extensions_mut().insert(Recorded);
    }
    response
}

/// Reads the body of a request, and puts what an entry may have of it into the intent.
async fn with_body(state: &Shared, request: Request, intent: &mut Intent) -> Result<Request, Problem> {
    let (parts, content) = request.into_parts();
    let whole = body::bytes(Request::from_parts(parts.clone(), content), state).await?;
    asked::of_body(&whole, intent);
    Ok(Request::from_parts(parts, Body::from(whole)))
}

/// Writes what was refused: a principal that may not, and a credential that is not taken.
pub async fn refusals(
    State(recorder): State<Recorder>,
    address: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let entry = recorder.entry(address.as_ref(), request.method()).cloned();
    let has_credential =
        [header::AUTHORIZATION, header::COOKIE].iter().any(|name| request.headers().contains_key(name));
    let is_attempt = has_credential || !request.method().is_safe();
    let mut intent = recorder.intent(&mut request, entry.as_ref()).await;
    let response = next.run(request).await;
    let is_refused = match response.status() {
        StatusCode::UNAUTHORIZED => is_attempt,
        StatusCode::FORBIDDEN => true,
        _ => false,
    };
    if is_refused && response.extensions().get::<Recorded>().is_none() {
        if let Some(entry) = &entry
            && let Needed::Right(right) = entry.needed
        {
            intent.right = Some(right);
        }
        intent.principal =
            response.extensions().get::<Caller>().map(|caller| caller.principal().identity.clone());
        write::refused(recorder.0.state.clone(), intent, Act::default().conclusion(Some(&response)));
    }
    response
}

/// The problem that an act cannot be put on record.
fn not_on_record() -> Problem {
    let detail = "nothing was changed: each change is on record before it is made, and Redis did not take the \
                  record; send the same again later";
    Problem::new(Code::RedisUnavailable, detail)
}
