//! Sessions, capability links, tickets and logins over HTTP, and the safety of browsers.

mod browser;
mod device;
mod links;
mod login;
mod provider;
mod sessions;
mod streams;

use reqwest::{Client, Method, Response, header, redirect::Policy};
use serde_json::Value;

use crate::fixture::Fixture;

/// A browser: it keeps cookies, follows no redirect, and says where its requests come from.
pub struct Browser<'f> {
    fixture: &'f Fixture,
    client: Client,
    cookies: Vec<(String, String)>,
}

impl<'f> Browser<'f> {
    pub fn new(fixture: &'f Fixture) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { fixture, client, cookies: Vec::new() }
    }

    /// Sends a request as a page of the API does.
    pub async fn send(&mut self, method: Method, path: &str, said: Option<Value>) -> Response {
        let origin = self.fixture.base.clone();
        self.send_from(Some(&origin), method, path, said).await
    }

    /// The same from a page of another origin; from none, the browser does not say.
    pub async fn send_from(
        &mut self,
        origin: Option<&str>,
        method: Method,
        path: &str,
        said: Option<Value>,
    ) -> Response {
        let mut request = self.client.request(method.clone(), self.fixture.url(path));
        if let Some(cookies) = self.cookies() {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(origin) = origin.filter(|_| method != Method::GET) {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(said) = said {
            request = request.header(header::CONTENT_TYPE, "application/json").body(said.to_string());
        }
        let response = request.send().await.unwrap();
        self.keep(&response);
        response
    }

    /// The cookies that the browser sends.
    pub fn cookies(&self) -> Option<String> {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Gives the browser a cookie that no answer set.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(each, _)| each != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    pub async fn json(&mut self, method: Method, path: &str, said: Option<Value>) -> (u16, Value) {
        let response = self.send(method, path, said).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&mut self, path: &str) -> (u16, Value) {
        self.json(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, said: Value) -> (u16, Value) {
        self.json(Method::POST, path, Some(said)).await
    }

    fn keep(&mut self, response: &Response) {
        for set in response.headers().get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
            if set.contains("Max-Age=0") {
                self.cookies.retain(|(each, _)| each != name);
            } else {
                self.plant(name, value);
            }
        }
    }
}

/// What a problem is called.
pub fn kind(body: &Value) -> &str {
    body["type"].as_str().unwrap_or_default().rsplit([':', '/']).next().unwrap_or_default()
}
