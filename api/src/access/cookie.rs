//! Cookies of a browser: the session, and a login under way.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use upshot_access::Secret;

/// How long a login with OpenID Connect may take, in seconds.
pub const LOGIN_SECONDS: i64 = 600;
/// Bytes of the suffix, so that several installations on one host keep their cookies apart.
const SUFFIX_BYTES: usize = 4;

/// The names and attributes of the cookies.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: String,
    login: String,
    /// Whether browsers send them over HTTPS alone. On loopback there is no HTTPS.
    is_secure: bool,
}

impl Cookies {
    /// The cookies of the installation with this public address or, without one, this prefix.
    pub fn new(public_url: Option<&str>, prefix: &str) -> Self {
        let digest = Sha256::digest(public_url.unwrap_or(prefix));
        let suffix = HEXLOWER.encode(digest.get(..SUFFIX_BYTES).unwrap_or_default());
        let is_secure = public_url.is_some_and(|url| url.to_ascii_lowercase().starts_with("https://"));
        // A browser takes a cookie with this prefix from this very host only, over HTTPS.
        let host = if is_secure { "__Host-" } else { "" };
        Self {
            session: format!("{host}upshot-{suffix}"),
            login: format!("{host}upshot-{suffix}-login"),
            is_secure,
        }
    }

    /// The id of a session that a request brings.
    pub fn session(&self, headers: &HeaderMap) -> Option<Secret> {
        Secret::parse(find(headers, &self.session)?)
    }

    /// Whether a request brings a session, in whatever form.
    pub fn has_session(&self, headers: &HeaderMap) -> bool {
        find(headers, &self.session).is_some()
    }

    /// The state of the login under way.
    pub fn login(&self, headers: &HeaderMap) -> Option<Secret> {
        Secret::parse(find(headers, &self.login)?)
    }

    /// Gives the browser a session that lasts this many seconds.
    pub fn set_session(&self, id: &Secret, seconds: i64) -> HeaderValue {
        self.set(&self.session, id.expose(), seconds)
    }

    /// Takes the session from the browser.
    pub fn end_session(&self) -> HeaderValue {
        self.set(&self.session, "", 0)
    }

    /// Gives the browser the state of a login.
    pub fn set_login(&self, state: &Secret) -> HeaderValue {
        self.set(&self.login, state.expose(), LOGIN_SECONDS)
    }

    /// Takes the state of a login from the browser.
    pub fn end_login(&self) -> HeaderValue {
        self.set(&self.login, "", 0)
    }

    fn set(&self, name: &str, value: &str, seconds: i64) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", seconds.max(0));
        // Letters, digits and signs of ASCII.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The value of a cookie. Of two with the same name, neither: one of them is from elsewhere.
fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter_map(|(each, value)| (each == name).then_some(value));
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (header::COOKIE, cookie.parse().unwrap())).collect()
    }

    #[test]
    fn a_session_comes_back_as_it_was_set() {
        let cookies = Cookies::new(Some("https://upshot.example.org"), "upshot");
        let id = Secret::new();
        let set = cookies.set_session(&id, 60).to_str().unwrap().to_owned();
        assert!(set.starts_with("__Host-upshot-"), "{set}");
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=60", "; Secure"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Domain"));
        let sent = set.split(';').next().unwrap();
        assert!(cookies.session(&request(&["a=b; c=d", sent])) == Some(id));
        assert!(cookies.session(&request(&[sent, sent])).is_none());
        assert!(cookies.session(&request(&["a=b"])).is_none());
        assert!(cookies.login(&request(&[sent])).is_none());
    }

    #[test]
    fn installations_on_one_host_have_cookies_of_their_own() {
        let plain = Cookies::new(None, "upshot");
        assert!(!plain.end_session().to_str().unwrap().contains("Secure"));
        assert_ne!(plain.session, Cookies::new(None, "other").session);
        assert_ne!(plain.session, Cookies::new(Some("http://127.0.0.1:8080"), "upshot").session);
    }
}
