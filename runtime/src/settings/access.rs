//! Settings of sessions, capability links and logins; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_shared::duration;
use url::{Host, Url};

use super::{ApiSettings, Error};
use crate::secret::Secret;

/// A link lasts at most this long, because a revocation has to be kept as long.
const LONGEST_LINK: Duration = Duration::from_secs(366 * 24 * 3_600);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    #[serde(with = "duration")]
    pub idle: Duration,
    #[serde(with = "duration")]
    pub absolute: Duration,
    #[serde(with = "duration")]
    pub recheck: Duration,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(12 * 3_600),
            absolute: Duration::from_secs(7 * 24 * 3_600),
            recheck: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    #[serde(with = "duration")]
    pub lifetime: Duration,
    #[serde(with = "duration")]
    pub most: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3_600);
        Self { lifetime: 30 * day, most: 90 * day }
    }
}

/// A role that a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    Producer,
    Viewer,
    Operator,
    Administrator,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcSettings {
    pub issuer: String,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<std::path::PathBuf>,
    pub scopes: Vec<String>,
    pub groups_claim: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants_claim: Option<String>,
    pub name_claim: String,
    pub roles: BTreeMap<String, GroupRole>,
}

impl Default for OidcSettings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            ca_file: None,
            scopes: ["profile", "email", "groups"].map(str::to_owned).to_vec(),
            groups_claim: "groups".to_owned(),
            tenants_claim: None,
            name_claim: "name".to_owned(),
            roles: BTreeMap::new(),
        }
    }
}

impl ApiSettings {
    pub(super) fn validate_access(&self) -> Result<(), Error> {
        let shown = |duration: Duration| humantime::format_duration(duration).to_string();
        if self.sessions.idle < SECOND {
            return impossible("api.sessions.idle", shown(self.sessions.idle), "use at least 1s");
        }
        if self.sessions.absolute < self.sessions.idle {
            let value =
                format!("{}, and `idle` is {}", shown(self.sessions.absolute), shown(self.sessions.idle));
            return impossible("api.sessions.absolute", value, "use at least `idle`");
        }
        if self.sessions.recheck < Duration::from_millis(10) {
            return impossible("api.sessions.recheck", shown(self.sessions.recheck), "use at least 10ms");
        }
        if !(SECOND..=LONGEST_LINK).contains(&self.links.most) {
            return impossible("api.links.most", shown(self.links.most), "use 1s to 366d");
        }
        if !(SECOND..=self.links.most).contains(&self.links.lifetime) {
            let value = format!("{}, and `most` is {}", shown(self.links.lifetime), shown(self.links.most));
            return impossible("api.links.lifetime", value, "use 1s to `most`");
        }
        for origin in &self.cors_origins {
            if !Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin) {
                let remedy =
                    "write a scheme, a host and a port if it has one, such as https://shop.example.org";
                return impossible("api.cors_origins", format!("`{origin}`"), remedy);
            }
        }
        for proxy in &self.trusted_proxies {
            if network(proxy).is_none() {
                let remedy = "write an address or a network, such as 10.0.0.7 or 10.0.0.0/8";
                return impossible("api.trusted_proxies", format!("`{proxy}`"), remedy);
            }
        }
        self.oidc.as_ref().map_or(Ok(()), OidcSettings::validate)
    }
}

impl OidcSettings {
    fn validate(&self) -> Result<(), Error> {
        let url = Url::parse(&self.issuer).ok().filter(Url::has_host);
        let is_safe = url.as_ref().is_some_and(|url| url.scheme() == "https" || is_loopback(url));
        if !is_safe {
            let remedy = "write the provider's address with https://; plain HTTP is for loopback only";
            return impossible("api.oidc.issuer", format!("`{}`", self.issuer), remedy);
        }
        if self.client_id.is_empty() {
            return impossible(
                "api.oidc.client_id",
                "empty".to_owned(),
                "write the id that the provider knows",
            );
        }
        if self.roles.is_empty() {
            let remedy = "give a group a role, such as roles = { ops = \"operator\" }: nobody could log in";
            return impossible("api.oidc.roles", "empty".to_owned(), remedy);
        }
        Ok(())
    }
}

fn impossible(key: &str, value: String, remedy: &str) -> Result<(), Error> {
    Err(Error::Impossible { key: key.to_owned(), value, remedy: remedy.to_owned() })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// An address, and how many of its first bits count.
pub fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    (bits <= most).then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ApiSettings)) -> String {
        let mut settings = ApiSettings::default();
        change(&mut settings);
        settings.validate_access().map_or_else(|why| why.to_string(), |()| "nothing".to_owned())
    }

    fn oidc(change: impl FnOnce(&mut OidcSettings)) -> String {
        let mut settings = OidcSettings {
            issuer: "https://id.example.org".to_owned(),
            client_id: "upshot".to_owned(),
            roles: BTreeMap::from([("ops".to_owned(), GroupRole::Operator)]),
            ..OidcSettings::default()
        };
        change(&mut settings);
        refused(|api| api.oidc = Some(settings))
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_remedy() {
        for (said, word) in [
            (refused(|_| {}), "nothing"),
            (refused(|api| api.sessions.idle = Duration::ZERO), "api.sessions.idle"),
            (refused(|api| api.sessions.absolute = SECOND), "api.sessions.absolute"),
            (refused(|api| api.links.most = 2 * LONGEST_LINK), "366d"),
            (refused(|api| api.links.lifetime = LONGEST_LINK), "api.links.lifetime"),
            (refused(|api| api.cors_origins = vec!["https://a.example/".to_owned()]), "`https://a.example/`"),
            (refused(|api| api.cors_origins = vec!["*".to_owned()]), "api.cors_origins"),
            (refused(|api| api.cors_origins = vec!["https://a.example:8443".to_owned()]), "nothing"),
            (refused(|api| api.trusted_proxies = vec!["10.0.0.0/33".to_owned()]), "10.0.0.0/8"),
            (refused(|api| api.trusted_proxies = vec!["10.0.0.0/8".to_owned(), "::1".to_owned()]), "nothing"),
            (oidc(|_| {}), "nothing"),
            (oidc(|oidc| oidc.issuer = "http://127.0.0.1:9000".to_owned()), "nothing"),
            (oidc(|oidc| oidc.issuer = "http://id.example.org".to_owned()), "https://"),
            (oidc(|oidc| oidc.client_id.clear()), "api.oidc.client_id"),
            (oidc(|oidc| oidc.roles.clear()), "operator"),
        ] {
            assert!(said.contains(word), "`{word}` is not in {said}");
        }
    }
}
