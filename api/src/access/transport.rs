//! Whether a login travels safely: over HTTPS, or on this machine alone.

use std::net::IpAddr;

use axum::http::{HeaderMap, header, uri::Authority};
use url::Url;

use crate::problem::{Code, Problem};

/// How browsers reach the API.
#[derive(Clone, Debug)]
pub struct Transport {
    /// `api.public_url`, if it is HTTPS.
    secure: Option<Url>,
}

impl Transport {
    /// The transport of the API with this public address.
    pub fn new(public_url: Option<&str>) -> Self {
        let url = public_url.and_then(|url| Url::parse(url).ok());
        Self { secure: url.filter(|url| url.scheme() == "https") }
    }

    /// Checks that a login may come by this request. A proxy that ends TLS names the public host, or the
    /// browser names the public origin.
    ///
    /// # Errors
    /// A 403 with the remedy for plain HTTP beyond loopback.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        let name = host.parse::<Authority>().map(|authority| authority.host().to_ascii_lowercase());
        let name = name.unwrap_or_default();
        let is_public = self.secure.as_ref().is_some_and(|url| {
            url.host_str() == Some(name.as_str())
                || text(header::ORIGIN) == Some(url.origin().ascii_serialization().as_str())
        });
        if is_public || is_loopback(&name) {
            return Ok(());
        }
        let shown: String = host.chars().take(100).collect();
        let remedy = match &self.secure {
            Some(url) => format!("log in at {url}"),
            None => "put a proxy with TLS before the API and name its address in `api.public_url` \
                     (https://…), or log in on the server itself at http://127.0.0.1 (with ssh -L from afar)"
                .to_owned(),
        };
        let detail =
            format!("the login came over plain HTTP to `{shown}`, where others can read it: {remedy}");
        Err(Problem::new(Code::InsecureLogin, detail))
    }
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_safe(public_url: Option<&str>, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        Transport::new(public_url).check(&headers).is_ok()
    }

    #[test]
    fn a_login_needs_https_beyond_loopback() {
        let https = Some("https://upshot.example.org/jobs");
        for (public_url, host, origin, safe) in [
            (None, "127.0.0.1:8080", None, true),
            (None, "localhost", None, true),
            (None, "[::1]:8080", None, true),
            (None, "192.0.2.7:8080", None, false),
            (None, "upshot.internal", Some("http://upshot.internal"), false),
            (Some("http://upshot.internal"), "upshot.internal", None, false),
            (https, "upshot.example.org", None, true),
            // A proxy that names its upstream.
            (https, "upshot:8080", Some("https://upshot.example.org"), true),
            (https, "upshot:8080", None, false),
            (https, "192.0.2.7:8080", Some("http://192.0.2.7:8080"), false),
            (https, "127.0.0.1:8080", None, true),
            (https, "127.0.0.1.evil.example", None, false),
        ] {
            assert_eq!(is_safe(public_url, host, origin), safe, "{public_url:?} {host} {origin:?}");
        }
    }

    #[test]
    fn the_refusal_says_where_to_log_in() {
        let headers = HeaderMap::from_iter([(header::HOST, "192.0.2.7".parse().unwrap())]);
        let said = |url| format!("{:?}", Transport::new(url).check(&headers).unwrap_err());
        assert!(said(None).contains("api.public_url") && said(None).contains("127.0.0.1"));
        assert!(said(Some("https://a.example")).contains("log in at https://a.example"));
    }
}
