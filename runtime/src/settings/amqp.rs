//! The section `[amqp]`; `default.toml` explains every key.
#![expect(missing_docs, reason = "default.toml is the documentation of every key")]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{
    amqp::{Address, Unusable},
    secret::SecretUrl,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AmqpSettings {
    pub url: SecretUrl,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
}

impl AmqpSettings {
    /// Whether the keys can be used, and go together.
    pub(super) fn validate(&self) -> Result<(), Error> {
        Address::from(self).check().map_err(|Unusable { key, value, remedy }| Error::Impossible {
            key: format!("amqp.{key}"),
            value,
            remedy,
        })
    }
}
