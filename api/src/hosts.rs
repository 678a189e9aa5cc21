//! Checks the host that a request names, and the page that it comes from.
//!
//! A page of another origin can make a browser send requests to an address that only this machine
//! reaches. The page cannot choose the `Origin` that the browser adds. If the page makes its own
//! name lead here (DNS rebinding), that name is the `Host`. So the API refuses foreign origins and
//! unknown host names. Addresses cannot be rebound and are always allowed.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use upshot_runtime::settings::ApiSettings;
use url::Url;

use crate::problem::{Code, Problem};

/// Load balancers and supervisors ask for these, under a host name of their own.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// Programs of the same network fetch these under any name. A browser on a foreign page sends its
/// origin.
const METRICS: &str = "/metrics";

/// The names under which the API may be asked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<Names>);

#[derive(Debug)]
struct Names {
    /// In lower case.
    hosts: Vec<String>,
    /// Of `api.public_url`, as a browser writes it.
    origin: Option<String>,
    /// Of `api.cors_origins`.
    others: Vec<String>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A page of this API, or no page.
    Own,
    /// A page that `api.cors_origins` allows.
    Other,
}

impl Hosts {
    /// The names in the settings: the hosts of `api.listen` and `api.public_url`, `api.hosts`, and
    /// `localhost`.
    pub fn new(settings: &ApiSettings) -> Self {
        let public = settings.public_url.as_deref().and_then(|url| Url::parse(url).ok());
        let listen = settings.listen.rsplit_once(':').map_or(settings.listen.as_str(), |(host, _)| host);
        let public_host = public.as_ref().and_then(|url| url.host_str().map(str::to_owned));
        let hosts = ["localhost".to_owned(), listen.to_owned()];
        let hosts = hosts.into_iter().chain(public_host).chain(settings.hosts.iter().cloned());
        let hosts = hosts.map(|host| host.to_ascii_lowercase()).collect();
        let origin = public.map(|url| url.origin().ascii_serialization());
        Self(Arc::new(Names { hosts, origin, others: settings.cors_origins.clone() }))
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// A 421 for a host that is not the API's, a 403 for a foreign origin.
    fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<From, Problem> {
        // HTTP/1.0 has no host; a browser always sends one.
        if let Some(host) = host {
            let authority = host.parse::<Authority>().ok();
            let name = authority.as_ref().map(|authority| authority.host().to_ascii_lowercase());
            if !name.as_deref().is_some_and(|name| self.is_known(name)) {
                let detail = format!(
                    "the request was sent to `{}`, which is not a name of this API: use an address of \
                     `api.listen`, or add the name to `api.hosts` or as `api.public_url`",
                    shown(host)
                );
                return Err(Problem::new(Code::UnknownHost, detail));
            }
        }
        let Some(origin) = origin else { return Ok(From::Own) };
        let of_host = |authority: &str| host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
        let own = origin
            .split_once("://")
            .is_some_and(|(scheme, authority)| ["http", "https"].contains(&scheme) && of_host(authority));
        if own || self.0.origin.as_deref() == Some(origin) {
            return Ok(From::Own);
        }
        if self.0.others.iter().any(|other| other == origin) {
            return Ok(From::Other);
        }
        let detail = format!(
            "the request comes from a page of `{}`: only pages of this API may use it from a browser; name \
             its address in `api.public_url` if a proxy stands before it, or in `api.cors_origins` if pages from \
             there may read answers",
            shown(origin)
        );
        Err(Problem::new(Code::ForeignOrigin, detail))
    }

    fn is_known(&self, name: &str) -> bool {
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() || self.0.hosts.iter().any(|host| host == name)
    }
}

/// Refuses a request to a foreign host or from a foreign page. Takes the cookies from the request of an
/// allowed page of another origin: such a page has an API token, or nothing.
pub async fn refuse_foreign(State(hosts): State<Hosts>, mut request: Request, next: Next) -> Response {
    if !PROBES.contains(&request.uri().path()) {
        let text = |value: Option<&HeaderValue>| {
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let host = authority.or_else(|| text(request.headers().get(header::HOST)));
        let origin = text(request.headers().get(header::ORIGIN));
        let host = host.filter(|_| request.uri().path() != METRICS || origin.is_some());
        match hosts.check(host.as_deref(), origin.as_deref()) {
            Ok(From::Own) => {}
            Ok(From::Other) => {
                request.headers_mut().remove(header::COOKIE);
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&ApiSettings {
            listen: "upshot.internal:8080".to_owned(),
            public_url: Some("https://Upshot.example.org/jobs".to_owned()),
            hosts: vec!["api".to_owned()],
            cors_origins: vec!["https://shop.example.org".to_owned()],
            ..ApiSettings::default()
        })
    }

    #[test]
    fn names_of_the_api_and_addresses_are_hosts() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "[::1]:9",
            "192.0.2.7",
            "upshot.internal:1",
            "upshot.example.org",
            "api:8080",
        ] {
            assert!(hosts().check(Some(host), None).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "api.evil.example:8080",
            "",
            "a b",
            "127.0.0.1.evil.example",
            "user@evil.example",
        ] {
            assert!(
                hosts().check(Some(host), None).is_err_and(|problem| problem.is(Code::UnknownHost)),
                "{host}"
            );
        }
        assert!(hosts().check(None, None).is_ok());
    }

    #[test]
    fn pages_of_other_origins_are_told_apart() {
        let check = |origin| hosts().check(Some("localhost:8080"), Some(origin)).ok();
        assert_eq!(check("https://shop.example.org"), Some(From::Other));
        assert_eq!(check("https://upshot.example.org"), Some(From::Own));
        assert_eq!(check("http://shop.example.org"), None);
    }

    #[test]
    fn only_pages_of_the_api_may_use_it() {
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080"),
            ("upshot.example.org", "https://upshot.example.org"),
            // A proxy that names its upstream.
            ("127.0.0.1:8080", "https://upshot.example.org"),
        ] {
            assert!(hosts().check(Some(host), Some(origin)).is_ok(), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:3000",
            "http://localhost",
            "file://localhost:8080",
            "",
        ] {
            let refused = hosts().check(Some("localhost:8080"), Some(origin));
            assert!(refused.is_err_and(|problem| problem.is(Code::ForeignOrigin)), "{origin}");
        }
    }
}
