//! The gate: finds the principal of a request, and refuses what it may not do.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use upshot_access::{
    Credential, Error, Identity, LinkText, Principal, Proof, Right, Secret, Tokens, once::Kind,
};

use super::{
    caller::Caller,
    mode::Mode,
    people::People,
    table::{Entry, Needed, Span, Table},
    ticket::{self, Ticket},
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
    people: Arc<People>,
    local: Caller,
}

impl Gate {
    /// A gate for the operations of a table.
    pub fn new(mode: Mode, table: Table, tokens: Tokens, people: Arc<People>) -> Self {
        let local = Caller::new(Principal::local());
        Self(Arc::new(Parts { mode, table, tokens, people, local }))
    }

    /// The principal of a request, if it may do what it asks for. Notes whom it found also where the
    /// principal may not.
    async fn admit(
        &self,
        entry: &Entry,
        asked: &Asked<'_>,
        found: &mut Option<Caller>,
    ) -> Result<Option<Caller>, Problem> {
        let caller = match (self.0.mode, entry.needed) {
            (Mode::Off, _) => self.0.local.clone(),
            (Mode::On, Needed::Nothing) => return Ok(None),
            (Mode::On, _) => self.identify(entry, asked).await?,
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

    /// A bearer token wins over a cookie, and both over a ticket.
    async fn identify(&self, entry: &Entry, asked: &Asked<'_>) -> Result<Caller, Problem> {
        let people = &self.0.people;
        if let Some(given) = bearer(asked.headers)? {
            if let Ok(link) = LinkText::parse(given) {
                return self.identify_link(&link).await;
            }
            return self.identify_token(entry, given).await;
        }
        if let Some(id) = people.cookies.session(asked.headers) {
            let session = people.sessions.identify(&id).await.map_err(refusal)?;
            return Ok(Caller::identified(session.principal, Proof::Session(id.hash())));
        }
        let Some(secret) = &asked.ticket else {
            return Err(unauthenticated("the request has no credential"));
        };
        let secret = Secret::parse(secret).ok_or_else(|| unauthenticated("the ticket has another form"))?;
        let ticket = people.once.take::<Ticket>(Kind::Ticket, &secret).await?;
        let ticket = ticket.filter(|ticket| ticket.path == asked.uri.path()).ok_or_else(|| {
            unauthenticated("the ticket is for another address, was used before, or has expired")
        })?;
        self.again(ticket.proof).await.map_err(refusal)
    }

    /// An end user's page of another origin has no session here, so it sends its link itself.
    async fn identify_link(&self, link: &LinkText) -> Result<Caller, Problem> {
        let (principal, key) = self.0.people.links.identify(link).await.map_err(refusal)?;
        let Identity::Link { id } = &principal.identity else {
            return Err(Problem::internal("a capability link stands for something else"));
        };
        let proof = Proof::Link { id: id.clone(), key, scope: principal.scope.clone() };
        Ok(Caller::identified(principal, proof))
    }

    async fn identify_token(&self, entry: &Entry, given: &str) -> Result<Caller, Problem> {
        let credential = Credential::parse(given).map_err(unauthenticated)?;
        let proof = Proof::Token { id: credential.id().to_owned(), hash: credential.hash() };
        match self.0.tokens.identify(&credential).await {
            Ok(principal) => Ok(Caller::identified(principal, proof)),
            Err(Error::Refused(refusal)) => Err(unauthenticated(refusal)),
            Err(error) => {
                // An event needs RabbitMQ only, so Redis must not be missed for it.
                let remembered = (entry.needed == Needed::Right(Right::Publish))
                    .then(|| self.0.tokens.remembered(&credential))
                    .flatten();
                remembered
                    .map(|principal| Caller::identified(principal, proof))
                    .ok_or_else(|| Problem::from(error))
            }
        }
    }

    /// The principal of a proof, at this moment.
    async fn again(&self, proof: Proof) -> Result<Caller, Error> {
        let principal = identify_again(&self.0.tokens, &self.0.people, &proof).await?;
        Ok(Caller::identified(principal, proof))
    }
}

/// The principal that a proof stands for at this moment.
///
/// # Errors
/// When it stands for none, or Redis failed.
pub async fn identify_again(tokens: &Tokens, people: &People, proof: &Proof) -> Result<Principal, Error> {
    match proof {
        Proof::Token { id, hash } => tokens.identify_by(id, hash).await,
        Proof::Session(hash) => Ok(people.sessions.identify_by(hash).await?.principal),
        Proof::Link { id, key, scope } => people.links.identify_by(id, key, scope).await,
    }
}

/// What a request brings to identify itself.
struct Asked<'r> {
    headers: &'r HeaderMap,
    uri: &'r Uri,
    ticket: Option<String>,
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
    // Handlers do not know the ticket, and no log should.
    let ticket = ticket::take_from(&mut request);
    let asked = Asked { headers: request.headers(), uri: request.uri(), ticket };
    let mut found = None;
    let mut response = match gate.admit(entry, &asked, &mut found).await {
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
        if caller.principal().identity != Identity::Local {
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
        }
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

fn refusal(error: Error) -> Problem {
    match error {
        Error::Refused(refusal) => unauthenticated(refusal),
        error => error.into(),
    }
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
