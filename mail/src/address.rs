//! The address of the mail server and its security.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::Error;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// No TLS: for a server on the same machine or network.
    Plain,
    /// After the greeting (RFC 3207); required, not opportunistic.
    StartTls,
    /// From the first byte (RFC 8314).
    Tls,
}

/// The login at a mail server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// A mail server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) login: Option<Login>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self} ({:?})", self.security)
    }
}

/// `host:port`, for messages and for the name of what parked jobs wait for.
impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Server {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|error| Error::Url(error.to_string()))?;
        let (security, port) = match url.scheme() {
            "smtp" => (Security::Plain, 25),
            "smtp+starttls" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            other => return Err(Error::Url(format!("scheme `{other}` is not known"))),
        };
        let host = match url.host() {
            // Without the brackets of a URL.
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err(Error::Url("it names no host".to_owned())),
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some(Login { user: decode(user), password: decode(password) }),
            (_, None) => return Err(Error::Url("it names a user and no password".to_owned())),
        };
        if login.is_some()
            && security == Security::Plain
            && !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1")
        {
            return Err(Error::Url(
                "a password would travel unencrypted: use smtp+starttls or smtps".to_owned(),
            ));
        }
        Ok(Self { host, port: url.port().unwrap_or(port), security, login })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_or_refused_with_the_reason() {
        let server = Server::parse("smtp+starttls://a%40b:p%2Fw@mail.example").unwrap();
        assert_eq!(
            (server.host.as_str(), server.port, server.security),
            ("mail.example", 587, Security::StartTls)
        );
        assert!(server.login == Some(Login { user: "a@b".into(), password: "p/w".into() }));
        let local = Server::parse("smtp://[::1]:1025").unwrap();
        assert_eq!((local.host.as_str(), local.port), ("::1", 1025));
        for (bad, word) in [
            ("mail.example", "relative URL"),
            ("http://mail.example", "http"),
            ("smtp://me:secret@mail.example", "unencrypted"),
            ("smtps://me@mail.example", "no password"),
        ] {
            let error = Server::parse(bad).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
