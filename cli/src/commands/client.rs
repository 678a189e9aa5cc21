//! The client of the API.

use std::{error::Error, fmt, time::Duration};

use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use upshot_runtime::{
    Settings,
    secret::{SecretUrl, masked},
};
use upshot_shared::visible::visible;
use url::{Host, Url};

use crate::{arguments::ApiAddress, running::Running};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of the API.
pub struct Client {
    base: SecretUrl,
    http: reqwest::Client,
}

impl Client {
    /// A client for the named API, for the API of a running `upshot up`, or for the API in the
    /// settings.
    pub fn new(settings: &Settings, given: &ApiAddress) -> anyhow::Result<Self> {
        let (key, text) = match (&given.api, Running::read(settings)) {
            (Some(api), _) => ("--api", api.clone()),
            (None, Some(running)) => ("the API of `upshot up`", running.api),
            (None, None) => ("api.listen", settings.api.listen.clone()),
        };
        let base = base(&text).with_context(|| {
            format!("{key} is `{}`: write it like http://127.0.0.1:8080, or host:8080", masked(&text))
        })?;
        let builder = reqwest::Client::builder().connect_timeout(CONNECT);
        // The client follows no redirect from https to http.
        let builder = builder.https_only(base.scheme() == "https");
        // A proxy from the environment leads to other machines, not back to this one.
        let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
        Ok(Self { base: base.as_str().trim_end_matches('/').into(), http: builder.build()? })
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
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let answer = sent
            .with_context(|| format!("no API at {}: start `upshot up`, or name it with --api", self.base))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Refused { status: answer.status(), problem: answer.json().await.unwrap_or_default() }.into())
    }

    async fn json(&self, answer: Response) -> anyhow::Result<Value> {
        let read = answer.json().await.map_err(reqwest::Error::without_url);
        read.with_context(|| format!("what answers at {} is not Upshot's API", self.base))
    }
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
        // Text from outside must not look like a line of this program.
        write!(f, "{}: {}", self.status, visible(detail.unwrap_or("the API gave no reason")))
    }
}

impl Error for Refused {}

/// The address of an API: a URL, or `host:port`. For an address that listens on every interface,
/// the loopback address.
fn base(text: &str) -> Option<Url> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    match url.host()? {
        Host::Ipv4(address) if address.is_unspecified() => url.set_host(Some("127.0.0.1")).ok()?,
        Host::Ipv6(address) if address.is_unspecified() => url.set_host(Some("[::1]")).ok()?,
        _ => {}
    }
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_scheme() {
        for (text, expected) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("upshot.example", "http://upshot.example/"),
            ("https://upshot.example/a", "https://upshot.example/a"),
        ] {
            assert_eq!(base(text).unwrap().as_str(), expected);
        }
        for text in ["", "http://", "ftp://h", "h:x", "h:99999"] {
            assert!(base(text).is_none(), "{text}");
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, is_here) in [
            ("localhost:1", true),
            ("api.localhost", true),
            ("127.9.9.9", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_loopback(&base(text).unwrap()), is_here, "{text}");
        }
    }
}
