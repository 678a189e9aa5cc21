//! Asks the API.

use std::{error::Error, fmt};

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use upshot_shared::Settings;

use crate::{arguments::ApiAddress, running::Running};

/// A client of the API.
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// One for the API that is named, that of a running `upshot up`, or that of
    /// the settings.
    pub fn new(settings: &Settings, given: &ApiAddress) -> anyhow::Result<Self> {
        let known = given.api.clone().or_else(|| Running::read(settings).map(|running| running.api));
        let base = known.unwrap_or_else(|| format!("http://{}", settings.api.listen));
        // Where https is named, a redirect to http is not followed.
        let is_secure = base.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let http = reqwest::Client::builder().https_only(is_secure).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    /// The answer to a question.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.base);
        send(&url, self.http.get(&url).query(query)).await
    }

    /// The JSON of the answer to a question.
    pub async fn read(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        Ok(self.get(path, query).await?.json().await?)
    }

    /// Asks for a change; the JSON of the answer.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.change(Method::POST, path, body).await
    }

    /// The same with a value that replaces what was there.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.change(Method::PUT, path, body).await
    }

    async fn change(&self, method: Method, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        // The API asks for the content type, empty body or not.
        Ok(send(&url, self.http.request(method, &url).json(body)).await?.json().await?)
    }
}

async fn send(url: &str, request: RequestBuilder) -> anyhow::Result<Response> {
    let sent = request.send().await;
    let answer =
        sent.with_context(|| format!("no API at {url}: start `upshot up`, or name it with --api"))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    Err(Refused { status, problem: answer.json().await.unwrap_or_default() }.into())
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    /// The problem, as the API describes it.
    pub problem: Value,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.problem.get("detail").or_else(|| self.problem.get("title")).and_then(Value::as_str);
        write!(f, "{}: {}", self.status, detail.unwrap_or("the API gave no reason"))
    }
}

impl Error for Refused {}
