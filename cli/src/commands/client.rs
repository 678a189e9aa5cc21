//! The client of the API.

pub mod credential;
pub mod server;

use std::{error::Error, fmt, time::Duration};

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use upshot_runtime::{Settings, secret::SecretUrl};
use upshot_shared::visible::visible;

use self::{
    credential::{Credential, Source},
    server::Server,
};
use crate::{arguments::ApiAddress, profiles::Profiles};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of the API.
pub struct Client {
    base: SecretUrl,
    http: reqwest::Client,
    credential: Option<Credential>,
}

impl Client {
    /// A client for the named API, for that of a profile, for the API of a running `upshot up`, or for
    /// the API in the settings; with the token for it, if there is one.
    pub fn new(settings: &Settings, given: &ApiAddress) -> anyhow::Result<Self> {
        let profiles = Profiles::read()?;
        let server = Server::of(settings, given, &profiles)?;
        let credential = Credential::of(given, &server, &profiles)?;
        Self::with(&server, credential)
    }

    /// A client for a server, with a token or without.
    pub fn with(server: &Server, credential: Option<Credential>) -> anyhow::Result<Self> {
        let builder = reqwest::Client::builder().connect_timeout(CONNECT);
        // The client follows no redirect from https to http.
        let builder = builder.https_only(server.base.scheme() == "https");
        // A proxy from the environment leads to other machines, not back to this one.
        let builder = if server.is_loopback() { builder.no_proxy() } else { builder };
        let base = server.base.as_str().trim_end_matches('/').into();
        Ok(Self { base, http: builder.build()?, credential })
    }

    /// The address of the API, to be shown.
    pub fn base(&self) -> &SecretUrl {
        &self.base
    }

    /// The answer to a question.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Response> {
        self.send(self.http.get(self.url(path)).query(query)).await
    }

    /// The JSON of the answer to a question.
    pub async fn read(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.json(self.get(path, query).await?).await
    }

    /// Asks for a change; the JSON of the answer.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.change(Method::POST, path, body).await
    }

    /// The same with a value that replaces what was there.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.change(Method::PUT, path, body).await
    }

    /// Removes what the parameters name; the JSON of the answer.
    pub async fn delete(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.json(self.send(self.http.delete(self.url(path)).query(query)).await?).await
    }

    async fn change(&self, method: Method, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        // The API asks for the content type, empty body or not.
        let answer = self.send(self.http.request(method, self.url(path)).json(body)).await?;
        self.json(answer).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.expose())
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.credential {
            Some(credential) => request.bearer_auth(credential.token.expose()),
            None => request,
        };
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let answer = sent
            .with_context(|| format!("no API at {}: start `upshot up`, or name it with --api", self.base))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Value = answer.json().await.unwrap_or_default();
        let remedy = remedy(status, &problem, self.credential.as_ref().map(|credential| &credential.source));
        Err(Answered { remedy, ..Answered::new(status, problem) }.into())
    }

    async fn json(&self, answer: Response) -> anyhow::Result<Value> {
        let read = answer.json().await.map_err(reqwest::Error::without_url);
        read.with_context(|| format!("what answers at {} is not Upshot's API", self.base))
    }
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// The problem, as the API describes it.
    pub problem: Value,
    /// What the person at the command line can do about it.
    remedy: Option<String>,
}

impl Answered {
    /// An answer with this problem.
    pub fn new(status: StatusCode, problem: Value) -> Self {
        Self { status, problem, remedy: None }
    }

    /// The code of the problem, such as `unknown-job`.
    pub fn code(&self) -> Option<&str> {
        self.problem.get("code").and_then(Value::as_str)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.problem.get("detail").or_else(|| self.problem.get("title")).and_then(Value::as_str);
        // Text from outside must not look like a line of this program.
        write!(f, "{}: {}", self.status, visible(detail.unwrap_or("the API gave no reason")))?;
        self.remedy.iter().try_for_each(|remedy| write!(f, " ({remedy})"))
    }
}

impl Error for Answered {}

/// What the person at the command line can do about a refusal.
fn remedy(status: StatusCode, problem: &Value, token: Option<&Source>) -> Option<String> {
    match (status, token) {
        (StatusCode::UNAUTHORIZED, None) => Some(
            "no token was sent: `upshot login` gets one, or give one with --token-file or UPSHOT_TOKEN"
                .to_owned(),
        ),
        (StatusCode::UNAUTHORIZED, Some(source)) => {
            Some(format!("the token of {source} was sent: `upshot login` gets another"))
        }
        // Other problems with this status name their own remedy.
        (StatusCode::FORBIDDEN, Some(source)) if problem.get("right").is_some() => Some(format!(
            "the token of {source} was sent: `upshot me` shows its rights, `upshot login` takes another"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_names_the_remedy() {
        let said = |status: u16, problem: Value, token: Option<Source>| {
            let status = StatusCode::from_u16(status).unwrap();
            let remedy = remedy(status, &problem, token.as_ref());
            Answered { status, problem, remedy }.to_string()
        };
        let missing = || json!({"detail": "this needs the right `retry`", "right": "retry"});
        assert!(said(401, Value::Null, None).contains("`upshot login`"));
        let of_variable = said(401, json!({"detail": "revoked"}), Some(Source::Variable));
        assert!(of_variable.contains("revoked") && of_variable.contains("UPSHOT_TOKEN"), "{of_variable}");
        assert!(said(403, missing(), Some(Source::Variable)).contains("`upshot me`"));
        assert_eq!(said(404, json!({"detail": "no such job"}), None), "404 Not Found: no such job");
    }
}
