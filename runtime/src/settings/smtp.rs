//! The mail server and its time limits; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::secret::SecretUrl;
use upshot_shared::duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpSettings {
    pub url: SecretUrl,
    pub from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    pub connections: usize,
    pub timeouts: SmtpTimeouts,
    #[serde(with = "duration")]
    pub confirm_refusal: Duration,
    #[serde(with = "duration")]
    pub probe: Duration,
}

/// The time limit for each reply (RFC 5321, 4.5.3.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpTimeouts {
    #[serde(with = "duration")]
    pub connect: Duration,
    #[serde(with = "duration")]
    pub greeting: Duration,
    #[serde(with = "duration")]
    pub command: Duration,
    #[serde(with = "duration")]
    pub data: Duration,
    #[serde(with = "duration")]
    pub block: Duration,
    #[serde(with = "duration")]
    pub accept: Duration,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            url: "smtp://127.0.0.1:1025".into(),
            from: "Upshot <no-reply@upshot.example>".to_owned(),
            ca_file: None,
            connections: 4,
            timeouts: SmtpTimeouts::default(),
            confirm_refusal: Duration::from_secs(60),
            probe: Duration::from_secs(60),
        }
    }
}

impl Default for SmtpTimeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            accept: minutes(10),
        }
    }
}

impl SmtpTimeouts {
    /// The same limit for every part.
    pub fn all(limit: Duration) -> Self {
        Self { connect: limit, greeting: limit, command: limit, data: limit, block: limit, accept: limit }
    }
}

impl SmtpSettings {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let SmtpTimeouts { connect, greeting, command, data, block, accept } = self.timeouts;
        for (key, time) in [
            ("timeouts.connect", connect),
            ("timeouts.greeting", greeting),
            ("timeouts.command", command),
            ("timeouts.data", data),
            ("timeouts.block", block),
            ("timeouts.accept", accept),
            ("probe", self.probe),
        ] {
            if time < Duration::from_millis(100) {
                return Err(Error::Impossible {
                    key: format!("smtp.{key}"),
                    value: humantime::format_duration(time).to_string(),
                    remedy: "use at least 100ms".to_owned(),
                });
            }
        }
        Ok(())
    }
}
