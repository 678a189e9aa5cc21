//! The section `[alarms]`; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::{path::PathBuf, time::Duration};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use upshot_shared::duration;
use url::Url;

use super::Error;
use crate::secret::{Secret, SecretUrl};

/// What the secret of a webhook begins with, in Standard Webhooks.
const PREFIX: &str = "whsec_";
/// Bytes of the key.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmSettings {
    pub webhook: SecretUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(with = "duration")]
    pub every: Duration,
    #[serde(with = "duration")]
    pub repeat: Duration,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            webhook: SecretUrl::default(),
            secret: None,
            ca_file: None,
            every: Duration::from_secs(15),
            repeat: Duration::from_secs(4 * 3600),
        }
    }
}

impl AlarmSettings {
    /// The key of a secret that can be used.
    pub fn key(secret: &Secret) -> Option<Vec<u8>> {
        let text = secret.expose().strip_prefix(PREFIX)?;
        BASE64.decode(text.as_bytes()).ok().filter(|key| BYTES.contains(&key.len()))
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let impossible = |key: &str, value: String, remedy: &str| {
            Err(Error::Impossible { key: format!("alarms.{key}"), value, remedy: remedy.to_owned() })
        };
        let shown = |time: Duration| humantime::format_duration(time).to_string();
        let bounds = Duration::from_millis(100)..=Duration::from_secs(60);
        if !bounds.contains(&self.every) {
            return impossible("every", shown(self.every), "use 100ms to 1m");
        }
        if self.repeat < Duration::from_secs(60) {
            return impossible("repeat", shown(self.repeat), "use at least 1m");
        }
        if self.webhook.is_empty() {
            return Ok(());
        }
        let url = Url::parse(self.webhook.expose()).ok();
        let is_http = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
        if !url.as_ref().is_some_and(is_http) {
            let remedy = "write an address such as https://hooks.example.org/upshot";
            return impossible("webhook", format!("`{}`", self.webhook), remedy);
        }
        let remedy = "write whsec_ and the base64 of 24 to 64 random bytes, as made by: \
                      echo whsec_$(head -c 32 /dev/urandom | base64)";
        match &self.secret {
            None => impossible("secret", "missing, and `webhook` is set".to_owned(), remedy),
            Some(secret) if Self::key(secret).is_none() => {
                impossible("secret", "not a secret of Standard Webhooks".to_owned(), remedy)
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut AlarmSettings)) -> String {
        let mut settings = AlarmSettings {
            webhook: "https://user:m4rker@hooks.example.org/m4rker".into(),
            secret: Some(format!("whsec_{}", BASE64.encode(&[7; 24])).as_str().into()),
            ..AlarmSettings::default()
        };
        change(&mut settings);
        settings.validate().map_or_else(|why| why.to_string(), |()| "nothing".to_owned())
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_remedy_and_without_the_secret() {
        for (said, word) in [
            (refused(|_| {}), "nothing"),
            (refused(|alarms| *alarms = AlarmSettings::default()), "nothing"),
            (refused(|alarms| alarms.secret = None), "alarms.secret"),
            (refused(|alarms| alarms.secret = Some("m4rker".into())), "whsec_"),
            (refused(|alarms| alarms.secret = Some("whsec_m4rker".into())), "/dev/urandom"),
            (refused(|alarms| alarms.secret = Some("whsec_bTRya2Vy".into())), "24 to 64"),
            (refused(|alarms| alarms.webhook = "ftp://u:m4rker@h".into()), "alarms.webhook"),
            (refused(|alarms| alarms.every = Duration::ZERO), "100ms"),
            (refused(|alarms| alarms.repeat = Duration::ZERO), "alarms.repeat"),
        ] {
            assert!(said.contains(word) && !said.contains("m4rker"), "`{word}` is not in {said}");
        }
    }
}
