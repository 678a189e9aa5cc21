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
use upshot_access::{Identity, Right, acts::Intent};
use url::form_urlencoded;
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
    reveal::REVEAL,
    state::Shared,
};

/// Operations that change nothing which the log should have: an event is not an act of an operator,
/// and has its own record; a ticket only opens a stream.
const NOT_RECORDED: [&str; 2] = ["publish_event", "create_ticket"];
/// A login that is a `GET`, because the identity provider sends the browser there.
const FINISH_LOGIN: &str = "finish_login";

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
        let needed = table.entries().filter_map(|entry| match entry.needed {
            Needed::Right(right) => Some(right),
            Needed::Nothing | Needed::Principal | Needed::Impossible => None,
        });
        write::describe(needed.chain([Right::SeeArguments]));
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

    /// Whether a request is an act: it changes something, or shows what is redacted. A principal that
    /// may not see that is refused by the operation, and refusals are bounded.
    fn is_act(&self, entry: &Entry, request: &Request) -> bool {
        if entry.operation == FINISH_LOGIN {
            return true;
        }
        if !request.method().is_safe() {
            return !NOT_RECORDED.contains(&entry.operation.as_str());
        }
        let takes = self.known(entry).iter().any(|name| name == REVEAL);
        let may_see = |caller: &Caller| caller.principal().may(Right::SeeArguments);
        let query = request.uri().query().unwrap_or_default();
        takes
            && form_urlencoded::parse(query.as_bytes())
                .any(|(name, value)| name == REVEAL && value != "false")
            && request.extensions().get::<Caller>().is_some_and(may_see)
    }

    /// The query parameters of an operation.
    fn known(&self, entry: &Entry) -> &[String] {
        self.0.parameters.get(&entry.operation).map_or(&[], Vec::as_slice)
    }

    /// What a request is about to do, as far as its head says it.
    async fn intent(&self, request: &mut Request, entry: Option<&Entry>) -> Intent {
        let known = entry.map_or(&[][..], |entry| self.known(entry));
        let mut intent = asked::of_head(request, known).await;
        intent.right = entry.and_then(|entry| right(entry, request.method()));
        intent.operation = entry.map(|entry| entry.operation.clone()).unwrap_or_default();
        intent.principal =
            request.extensions().get::<Caller>().map(|caller| caller.principal().identity.clone());
        intent
    }
}

/// The right that an act uses. A read is an act only where it shows what is redacted.
fn right(entry: &Entry, method: &Method) -> Option<Right> {
    match entry.needed {
        Needed::Nothing | Needed::Principal | Needed::Impossible => None,
        Needed::Right(_) if method.is_safe() => Some(Right::SeeArguments),
        Needed::Right(right) => Some(right),
    }
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
    if !recorder.is_act(entry, &request) {
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

/// An operation that needs no right makes its principal known: a login, or a logout. It is on record once
/// it succeeded, with the `Identity` that its handler puts into the extensions of the answer. Without one
/// nobody did anything. What fails is a refusal.
fn login(recorder: &Recorder, intent: Intent, act: &Act, mut response: Response) -> Response {
    let is_done = response.status().is_success() || response.status() == StatusCode::SEE_OTHER;
    if is_done && response.extensions().get::<Identity>().is_some() {
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
        intent.right = entry.as_ref().and_then(|entry| match entry.needed {
            Needed::Right(right) => Some(right),
            Needed::Nothing | Needed::Principal | Needed::Impossible => None,
        });
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
