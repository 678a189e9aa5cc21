//! A program that is built without OpenID Connect.

use url::Url;

use super::{Config, Error, Pending};
use crate::{principal::Principal, secret::Secret};

/// The provider. There is none, so no value of this type exists.
#[derive(Debug)]
pub enum Provider {}

impl Provider {
    /// The settings.
    pub const fn config(&self) -> &Config {
        match *self {}
    }

    /// The address at the provider where a person logs in.
    ///
    /// # Errors
    /// Never, because there is no provider.
    pub async fn address(&self, _: &Pending, _: &Secret) -> Result<Url, Error> {
        match *self {}
    }

    /// The principal of a person who comes back with a code.
    ///
    /// # Errors
    /// Never, because there is no provider.
    pub async fn finish(&self, _: Pending, _: String) -> Result<Principal, Error> {
        match *self {}
    }
}
