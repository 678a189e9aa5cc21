//! A program that is built without OpenID Connect.

use upshot_access::oidc::{Config, Provider};
use upshot_runtime::settings::OidcSettings;

use super::Error;

/// No provider.
///
/// # Errors
/// Always [`Error::NotBuilt`].
pub fn provider(_: &OidcSettings, _: Config) -> Result<Provider, Error> {
    Err(Error::NotBuilt)
}
