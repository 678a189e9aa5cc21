//! A program that is built without OpenID Connect.

use upshot_access::oidc::Http;
use upshot_runtime::settings::OidcSettings;

use super::Error;

/// No client.
///
/// # Errors
/// Always [`Error::NotBuilt`].
pub const fn http(_: &OidcSettings) -> Result<Http, Error> {
    Err(Error::NotBuilt)
}
