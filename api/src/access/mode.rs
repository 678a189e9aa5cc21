//! Whether the API asks for authentication.

use std::net::IpAddr;

use upshot_runtime::settings::{ApiSettings, AuthMode};
use url::{Host, Url};

/// Whether the API asks for authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every request comes from the principal `local`, which may do everything.
    Off,
    /// Every request needs a credential, except for open operations.
    On,
}

/// The settings would let other machines use the API without authentication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`api.auth` is \"none\", and other machines reach `api.listen` ({listen}): leave `api.auth` out, listen on \
     127.0.0.1, or set `api.allow_unauthenticated = true` as well if a proxy authenticates every request"
)]
pub struct Exposed {
    listen: String,
}

impl Mode {
    /// The mode of the settings. `auto` asks for authentication where other machines may reach the
    /// API: by its address, or by a proxy before it.
    ///
    /// # Errors
    /// When the settings turn authentication off beyond loopback, and do not say so twice.
    pub fn of(settings: &ApiSettings) -> Result<Self, Exposed> {
        let is_local = is_loopback(&settings.listen);
        match settings.auth {
            AuthMode::Required => Ok(Self::On),
            AuthMode::None if is_local || settings.allow_unauthenticated => Ok(Self::Off),
            AuthMode::None => Err(Exposed { listen: settings.listen.clone() }),
            AuthMode::Auto if is_local && !is_public(settings.public_url.as_deref()) => Ok(Self::Off),
            AuthMode::Auto => Ok(Self::On),
        }
    }
}

fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_public(url: Option<&str>) -> bool {
    let Some(url) = url.and_then(|url| Url::parse(url).ok()) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name != "localhost",
        Some(Host::Ipv4(ip)) => !ip.is_loopback(),
        Some(Host::Ipv6(ip)) => !ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(listen: &str, public_url: Option<&str>, auth: AuthMode, allow: bool) -> Result<Mode, Exposed> {
        Mode::of(&ApiSettings {
            listen: listen.to_owned(),
            public_url: public_url.map(str::to_owned),
            auth,
            allow_unauthenticated: allow,
            ..ApiSettings::default()
        })
    }

    #[test]
    fn authentication_is_off_on_loopback_only() {
        for listen in ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:0", "LOCALHOST:1"] {
            assert_eq!(mode(listen, None, AuthMode::Auto, false), Ok(Mode::Off), "{listen}");
            assert_eq!(mode(listen, Some("http://127.0.0.1:1"), AuthMode::Auto, false), Ok(Mode::Off));
            assert_eq!(mode(listen, None, AuthMode::None, false), Ok(Mode::Off), "{listen}");
            assert_eq!(mode(listen, None, AuthMode::Required, true), Ok(Mode::On), "{listen}");
            // A proxy stands before it.
            let public = mode(listen, Some("https://upshot.example.org"), AuthMode::Auto, false);
            assert_eq!(public, Ok(Mode::On), "{listen}");
        }
        for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:1", "upshot.internal:8080", ":8080"] {
            assert_eq!(mode(listen, None, AuthMode::Auto, false), Ok(Mode::On), "{listen}");
            assert!(mode(listen, None, AuthMode::None, false).is_err(), "{listen}");
            assert_eq!(mode(listen, None, AuthMode::None, true), Ok(Mode::Off), "{listen}");
        }
    }

    #[test]
    fn a_refused_setting_names_its_remedies() {
        let said = mode("0.0.0.0:8080", None, AuthMode::None, false).unwrap_err().to_string();
        for word in ["api.auth", "0.0.0.0:8080", "127.0.0.1", "api.allow_unauthenticated"] {
            assert!(said.contains(word), "{said}");
        }
    }
}
