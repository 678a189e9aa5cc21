//! The smaller sections of the settings; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use upshot_queue::QueueName;

use super::{LinkSettings, OidcSettings, SessionSettings, bytes::ByteSize};
use crate::secret::SecretUrl;
use upshot_shared::{contract::BuiltIn, duration, redact::Paths};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSettings {
    pub prefetch: u16,
    pub prefetch_bytes: ByteSize,
    pub batch: usize,
    pub max_event_bytes: ByteSize,
    #[serde(with = "duration")]
    pub contract_timeout: Duration,
    #[serde(with = "duration")]
    pub backdate: Duration,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            prefetch: 512,
            prefetch_bytes: ByteSize(32 << 20),
            batch: 256,
            max_event_bytes: ByteSize(64 << 10),
            contract_timeout: Duration::from_secs(2),
            backdate: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutcomesSettings {
    pub receipts: bool,
    #[serde(with = "duration")]
    pub history_age: Duration,
    pub history_bytes: ByteSize,
}

impl Default for OutcomesSettings {
    fn default() -> Self {
        Self {
            receipts: true,
            history_age: Duration::from_secs(30 * 24 * 3600),
            history_bytes: ByteSize(10 << 30),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuarantineSettings {
    #[serde(with = "duration")]
    pub keep: Duration,
    pub keep_bytes: ByteSize,
}

impl Default for QuarantineSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(30 * 24 * 3600), keep_bytes: ByteSize(64 << 20) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    #[serde(with = "duration")]
    pub keep: Duration,
    pub keep_acts: usize,
    pub keep_refusals: usize,
    pub history: bool,
    #[serde(with = "duration")]
    pub history_age: Duration,
    pub history_bytes: ByteSize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self {
            keep: 90 * day,
            keep_acts: 200_000,
            keep_refusals: 50_000,
            history: true,
            history_age: 400 * day,
            history_bytes: ByteSize(10 << 30),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContractSettings {
    pub dir: Option<String>,
    /// What the program brings.
    #[serde(skip)]
    pub built_in: Vec<BuiltIn>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateSettings {
    pub dir: Option<String>,
    pub fonts: Vec<String>,
}

impl Default for TemplateSettings {
    fn default() -> Self {
        Self { dir: None, fonts: vec!["/usr/share/fonts".to_owned()] }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorSettings {
    pub queues: Vec<QueueName>,
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self { queues: Vec::new(), shutdown_grace: Duration::from_secs(20) }
    }
}

/// Whether the API asks for authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Where other machines may reach it.
    #[default]
    Auto,
    Required,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    pub listen: String,
    pub auth: AuthMode,
    pub allow_unauthenticated: bool,
    pub public_url: Option<String>,
    pub hosts: Vec<String>,
    pub connections: usize,
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<String>,
    pub publish_rate: u32,
    pub sessions: SessionSettings,
    pub links: LinkSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSettings>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            auth: AuthMode::Auto,
            allow_unauthenticated: false,
            public_url: None,
            hosts: Vec::new(),
            connections: 4096,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            publish_rate: 0,
            sessions: SessionSettings::default(),
            links: LinkSettings::default(),
            oidc: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactSettings {
    pub paths: Paths,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    pub url: SecretUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(with = "duration")]
    pub look: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { url: SecretUrl::default(), ca_file: None, look: Duration::from_secs(30) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbesSettings {
    pub listen: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Auto,
    Human,
    Json,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info,lapin=warn".to_owned() }
    }
}
