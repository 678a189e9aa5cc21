//! The section `[redis]`; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::{
    RedisOptions,
    connect::{Address, AddressError, Login, Logins, Mode},
};

use super::Error;
use crate::secret::{Secret, SecretUrl, file::FileError};
use upshot_shared::duration;

/// What Redis must have done with jobs before their events are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    #[default]
    EverySec,
    Always,
    Replicas,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    pub url: SecretUrl,
    pub prefix: String,
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub sentinel_user: Option<String>,
    pub sentinel_password: Option<Secret>,
    pub durability: Durability,
    pub replicas: usize,
    #[serde(with = "duration")]
    pub replicas_timeout: Duration,
}

impl RedisSettings {
    /// The options of a connection. A URL or password of a file is read again for each connection.
    pub fn options(&self) -> RedisOptions {
        let files = [self.url.file(), self.sentinel_password.as_ref().and_then(Secret::file)];
        let logins = files.iter().any(Option::is_some).then(|| {
            let (url, password) = (self.url.clone(), self.sentinel_password.clone());
            Logins::new(move || login(&url, password.as_ref()).map_err(|error| error.to_string()))
        });
        RedisOptions {
            logins,
            response_timeout: self.response_timeout,
            ca_file: self.ca_file.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            sentinel_user: self.sentinel_user.clone(),
            sentinel_password: self.sentinel_password.as_ref().map(|secret| secret.expose().to_owned()),
            replicas: self.replicas,
            replicas_timeout: self.replicas_timeout,
            ..RedisOptions::new(self.url.expose(), self.prefix.clone())
        }
    }

    /// Whether the keys can be used, and go together.
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}', ' ']) {
            let value = format!("`{}`", self.prefix);
            return impossible("prefix", value, "use 1 or more characters other than { } and blank");
        }
        let shown = |time: Duration| humantime::format_duration(time).to_string();
        for (key, time) in
            [("response_timeout", self.response_timeout), ("replicas_timeout", self.replicas_timeout)]
        {
            if time < Duration::from_millis(100) {
                return impossible(key, shown(time), "use at least 100ms");
            }
        }
        match (self.durability, self.replicas) {
            (Durability::Replicas, 0) => {
                let remedy = "say in `redis.replicas` how many must hold a job, 1 or more";
                return impossible("durability", "replicas, and `redis.replicas` is 0".to_owned(), remedy);
            }
            (Durability::EverySec, 1..) => {
                let value = format!("{}, and `redis.durability` is everysec", self.replicas);
                let remedy =
                    "set `redis.durability` to replicas (or to always, for both), or remove this key";
                return impossible("replicas", value, remedy);
            }
            _ => {}
        }
        if self.replicas > 0 && self.replicas_timeout >= self.response_timeout {
            let value = format!(
                "{} and `redis.response_timeout` is {}",
                shown(self.replicas_timeout),
                shown(self.response_timeout)
            );
            return impossible(
                "replicas_timeout",
                value,
                "wait for replicas for a shorter time than for answers",
            );
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            let (set, other) = if self.client_cert.is_some() {
                ("client_cert", "client_key")
            } else {
                ("client_key", "client_cert")
            };
            return impossible(
                set,
                "set alone".to_owned(),
                &format!("set `redis.{other}` as well, or remove it"),
            );
        }
        if self.url.is_empty() {
            return Ok(());
        }
        let address: Address = match self.url.expose().parse() {
            Ok(address) => address,
            Err(AddressError { remedy, .. }) => return impossible("url", format!("`{}`", self.url), &remedy),
        };
        let certificate = [("ca_file", &self.ca_file), ("client_cert", &self.client_cert)]
            .into_iter()
            .find_map(|(key, file)| Some((key, file.as_ref()?)));
        if let (Some((key, file)), false) = (certificate, address.tls) {
            let value = format!("`{}`, but `redis.url` asks for no TLS", file.display());
            return impossible(key, value, "start the URL with rediss, or remove this key");
        }
        let at_sentinels = self.sentinel_user.is_some() || self.sentinel_password.is_some();
        if at_sentinels && !matches!(address.mode, Mode::Sentinel { .. }) {
            let remedy = "start the URL with redis+sentinel, or remove sentinel_user and sentinel_password";
            return impossible(
                "sentinel_password",
                "set, but `redis.url` names no sentinels".to_owned(),
                remedy,
            );
        }
        Ok(())
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: SecretUrl::default(),
            prefix: "upshot".to_owned(),
            response_timeout: Duration::from_secs(5),
            ca_file: None,
            client_cert: None,
            client_key: None,
            sentinel_user: None,
            sentinel_password: None,
            durability: Durability::EverySec,
            replicas: 0,
            replicas_timeout: Duration::from_secs(1),
        }
    }
}

/// The login as the files have it at the moment.
fn login(url: &SecretUrl, sentinel_password: Option<&Secret>) -> Result<Login, FileError> {
    let password = sentinel_password.map(Secret::current).transpose()?;
    Ok(Login {
        url: url.current()?.expose().to_owned(),
        sentinel_password: password.map(|password| password.expose().to_owned()),
    })
}

fn impossible(key: &str, value: String, remedy: &str) -> Result<(), Error> {
    Err(Error::Impossible { key: format!("redis.{key}"), value, remedy: remedy.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        toml::from_str::<RedisSettings>(text).unwrap().validate().unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_the_url_is_taken() {
        for url in
            ["redis://h", "valkeys://u:p@h:1/2", "redis+cluster://a,b:1", "rediss+sentinel://:p@a,b/m/1"]
        {
            RedisSettings { url: url.into(), ..RedisSettings::default() }.validate().unwrap();
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_remedy_and_without_secrets() {
        for (text, words) in [
            ("prefix = \"a{b\"", ["redis.prefix", "a{b", "other than"]),
            ("url = \"http://u:s3cr3t@h\"", ["redis.url", "`http://…@h`", "redis+sentinel://"]),
            ("url = \"redis://h\"\nca_file = \"ca.pem\"", ["redis.ca_file", "ca.pem", "rediss"]),
            ("client_key = \"key.pem\"", ["redis.client_key", "set alone", "redis.client_cert"]),
            (
                "url = \"redis://h\"\nsentinel_password = \"s3cr3t\"",
                ["redis.sentinel_password", "names no sentinels", "redis+sentinel"],
            ),
            ("durability = \"replicas\"", ["redis.durability", "replicas", "1 or more"]),
            ("replicas = 2", ["redis.replicas", "everysec", "to replicas"]),
            (
                "durability = \"always\"\nreplicas = 1\nreplicas_timeout = \"5s\"",
                ["redis.replicas_timeout", "5s", "shorter"],
            ),
            ("replicas_timeout = \"0s\"", ["redis.replicas_timeout", "0s", "at least 100ms"]),
        ] {
            let said = refusal(text);
            assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
            assert!(!said.contains("s3cr3t"), "{said}");
        }
    }
}
