//! The principals that ask, and what they are answered.

use reqwest::{Method, header};
use serde_json::Value;
use upshot_access::{NewToken, Only, Rights, Role, Scope, Tokens};

use super::{
    Due,
    rows::{Row, Target},
};
use crate::fixture::Fixture;

/// The tenant of the jobs of the table, and another.
pub const OWN: &str = "acme";
pub const FOREIGN: &str = "zenith";
/// The source of the events of the table, and another.
pub const OWN_SOURCE: &str = "/shops/berlin";
const FOREIGN_SOURCE: &str = "/shops/vienna";

/// Whose jobs a principal sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenants {
    All,
    Own,
    Foreign,
}

/// A role and whose jobs it sees.
#[derive(Clone, Copy, Debug)]
pub struct Principal {
    pub role: Role,
    pub tenants: Tenants,
}

/// A principal that asks; without one, a request without a credential.
pub struct Asker {
    pub name: String,
    pub principal: Option<Principal>,
    token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: Value,
}

/// Makes an API token.
pub async fn token(fixture: &Fixture, role: Role, scope: Scope, more: Rights) -> String {
    let tokens = Tokens::new(&fixture.connector).unwrap();
    let new = NewToken {
        name: format!("{role}"),
        role,
        more,
        without: Rights::default(),
        scope,
        lifetime_ms: None,
        created_by: "test".to_owned(),
    };
    tokens.create(new).await.unwrap().0.expose()
}

/// A principal with this role and these tenants. A producer also has a source.
pub async fn asker(fixture: &Fixture, role: Role, tenants: Tenants) -> Asker {
    let (names, sources) = match tenants {
        Tenants::All => (Only::All, Only::All),
        Tenants::Own => (Only::of([OWN]), Only::of([OWN_SOURCE])),
        Tenants::Foreign => (Only::of([FOREIGN]), Only::of([FOREIGN_SOURCE])),
    };
    let sources = if role == Role::Producer { sources } else { Only::All };
    let scope = Scope { tenants: names, sources, ..Scope::everything() };
    Asker {
        name: format!("{role} of {tenants:?}"),
        principal: Some(Principal { role, tenants }),
        token: Some(token(fixture, role, scope, Rights::default()).await),
    }
}

/// All principals of the table.
pub async fn all(fixture: &Fixture) -> Vec<Asker> {
    let mut askers = vec![Asker { name: "nobody".to_owned(), principal: None, token: None }];
    for role in Role::ALL {
        for tenants in [Tenants::All, Tenants::Own, Tenants::Foreign] {
            askers.push(asker(fixture, role, tenants).await);
        }
    }
    askers
}

impl Asker {
    pub async fn ask(&self, fixture: &Fixture, method: &str, path: &str, said: &Value) -> Answer {
        let method: Method = method.parse().unwrap();
        ask(fixture, self.token.as_deref(), method, path, said).await
    }
}

/// The answer to a request with this API token. Of a stream, the first part.
pub async fn ask(fixture: &Fixture, token: Option<&str>, method: Method, path: &str, said: &Value) -> Answer {
    let request = fixture.client.request(method, fixture.url(path));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let media =
        if said.get("specversion").is_some() { "application/cloudevents+json" } else { "application/json" };
    let request = if said.is_null() {
        request
    } else {
        request.header(header::CONTENT_TYPE, media).body(said.to_string())
    };
    let mut response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
    let is_stream = headers.contains("text/event-stream");
    let bytes =
        if is_stream { response.chunk().await.unwrap().unwrap() } else { response.bytes().await.unwrap() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

impl Answer {
    /// What is wrong with the answer, if anything.
    pub fn fault(&self, due: &Due, row: &Row, target: &Target) -> Option<String> {
        let Self { status, headers, body } = self;
        let kind = body["code"].as_str().unwrap_or_default();
        let is_right = match due {
            Due::Unauthenticated => *status == 401 && kind == "unauthenticated",
            Due::MissingRight(right) => {
                *status == 403 && kind == "missing-right" && body["right"].as_str() == Some(right)
            }
            Due::OutOfScope => *status == 403 && kind == "out-of-scope",
            Due::NotThere => {
                *status == 404 && ["unknown-job", "unknown-event", "unknown-subject"].contains(&kind)
            }
            Due::NoTrace => *status == 200,
            Due::Done => row.done.contains(status) && kind != "unknown-job" && kind != "unknown-subject",
        };
        if !is_right {
            return Some(format!("and the answer was {status} {body}"));
        }
        let is_foreign = !matches!(due, Due::Done);
        let said = format!("{headers} {body}");
        let is_traced =
            |(name, trace): &(&str, String)| is_foreign && !row.echoes.contains(name) && said.contains(trace);
        let traced = target.traces().into_iter().find(is_traced);
        traced.map(|(name, trace)| format!("and the {name} `{trace}` is in {said}"))
    }
}
