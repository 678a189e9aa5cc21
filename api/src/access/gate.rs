//! The gate: finds the principal of a request, and refuses what it may not do.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use upshot_access::{Credential, Error, Principal, Right, Tokens};

use super::{
    caller::Caller,
    mode::Mode,
    table::{Entry, Needed, Span, Table},
};
use crate::problem::{Code, Problem};

/// What the gate needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    mode: Mode,
    table: Table,
    tokens: Tokens,
    local: Caller,
}

impl Gate {
    /// A gate for the operations of a table.
    pub fn new(mode: Mode, table: Table, tokens: Tokens) -> Self {
        let local = Caller::new(Principal::local());
        Self(Arc::new(Parts { mode, table, tokens, local }))
    }

    /// The principal of a request, if it may do what it asks for. Notes whom it found also where the
    /// principal may not.
    async fn admit(
        &self,
        entry: &Entry,
        headers: &HeaderMap,
        found: &mut Option<Caller>,
    ) -> Result<Option<Caller>, Problem> {
        let caller = match (self.0.mode, entry.needed) {
            (Mode::Off, _) => self.0.local.clone(),
            (Mode::On, Needed::Nothing) => return Ok(None),
            (Mode::On, _) => self.identify(entry, headers).await?,
        };
        *found = Some(caller.clone());
        match entry.needed {
            Needed::Nothing | Needed::Principal => {}
            Needed::Right(right) => caller.require(right)?,
            Needed::Impossible => {
                let detail = format!("the operation `{}` states no right: this is a bug", entry.operation);
                return Err(Problem::internal(detail));
            }
        }
        match entry.span {
            Span::Own => {}
            Span::AllTenants => caller.require_everything()?,
            Span::Installation => caller.require_installation()?,
        }
        Ok(Some(caller))
    }

    async fn identify(&self, entry: &Entry, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(given) = bearer(headers)? else {
            return Err(unauthenticated("the request has no credential"));
        };
        let credential = Credential::parse(given).map_err(unauthenticated)?;
        match self.0.tokens.identify(&credential).await {
            Ok(principal) => Ok(Caller::new(principal)),
            Err(Error::Refused(refusal)) => Err(unauthenticated(refusal)),
            Err(error) => {
                // An event needs RabbitMQ only, so Redis must not be missed for it.
                let remembered = (entry.needed == Needed::Right(Right::Publish))
                    .then(|| self.0.tokens.remembered(&credential))
                    .flatten();
                remembered.map(Caller::new).ok_or_else(|| Problem::from(error))
            }
        }
    }
}

/// Lets a request pass with its principal, or answers that it may not.
pub async fn check(
    State(gate): State<Gate>,
    address: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    // An address or a method that nothing takes: the router says so.
    let Some(entry) = address.and_then(|at| gate.0.table.entry(at.as_str(), request.method())) else {
        return next.run(request).await;
    };
    let mut found = None;
    let mut response = match gate.admit(entry, request.headers(), &mut found).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(problem) => refused(problem),
    };
    // The audit log names the principal of a refusal.
    if let Some(caller) = found {
        response.extensions_mut().insert(caller);
    }
    response
}

/// The bearer token of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = given.to_str().ok().and_then(|given| {
        let (scheme, token) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.map(Some).ok_or_else(|| unauthenticated("the header `Authorization` has another form"))
}

fn unauthenticated(why: impl std::fmt::Display) -> Problem {
    let detail = format!("{why}; send `Authorization: Bearer upk_…`, or log in");
    Problem::new(Code::Unauthenticated, detail)
}

/// The answer, with the scheme that a client should use (RFC 9110, section 11.6.1).
fn refused(problem: Problem) -> Response {
    let is_unauthenticated = problem.is(Code::Unauthenticated);
    let mut response = problem.into_response();
    if is_unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
