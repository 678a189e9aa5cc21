//! People who log in with OpenID Connect: authorization code with PKCE, nonce and state.
//!
//! The relying party is the crate `openidconnect`. The module adds what it leaves to its user: the
//! clocks, who a token is for, and which role and tenants the claims of a person give.

#[cfg(not(feature = "oidc"))]
mod absent;
#[cfg(feature = "oidc")]
mod claims;
#[cfg(feature = "oidc")]
mod client;
#[cfg(feature = "oidc")]
mod http;
#[cfg(feature = "oidc")]
mod id_token;
#[cfg(feature = "oidc")]
mod provider;
mod settings;

use serde::{Deserialize, Serialize};

#[cfg(not(feature = "oidc"))]
pub use self::absent::Provider;
pub use self::settings::Config;
#[cfg(feature = "oidc")]
pub use self::{
    http::{Asked, FetchError, Fetching, Http, Said},
    id_token::SKEW,
    provider::Provider,
};

use crate::token::random;

/// Why a person cannot log in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider does not answer as a provider does.
    #[error("the identity provider {issuer} cannot be asked ({why}): try again later, or look at `api.oidc`")]
    Away {
        /// Its address.
        issuer: String,
        /// What happened.
        why: String,
    },
    /// The provider does not hand over an identity.
    #[error("the identity provider refuses the login ({0}): log in again")]
    Refused(String),
    /// What the provider says cannot be trusted.
    #[error("the identity provider's ID token is not taken ({0}): log in again")]
    Invalid(String),
    /// The clocks differ.
    #[error(
        "the identity provider's ID token is not taken ({0}): the clocks of the provider and of this machine \
         may differ by 60 s; set them"
    )]
    Clock(String),
    /// No group of the person has a role.
    #[error(
        "{name} has no role here: none of the groups in the claim `{claim}` ({groups}) is in `api.oidc.roles`; \
         ask an administrator to add one"
    )]
    NoRole {
        /// The person.
        name: String,
        /// The claim of groups.
        claim: String,
        /// The groups.
        groups: String,
    },
    /// The claim of tenants is empty.
    #[error("{name} has no tenant here: the claim `{claim}` is empty or missing; ask an administrator")]
    NoTenant {
        /// The person.
        name: String,
        /// The claim of tenants.
        claim: String,
    },
}

/// A login under way. Kept under the state until the person comes back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pending {
    nonce: String,
    verifier: String,
    redirect: String,
    /// Where the person goes after the login: a path of this API.
    pub to: String,
}

impl Pending {
    /// A login that comes back to `redirect`, and then goes to `to`.
    pub fn new(redirect: String, to: String) -> Self {
        Self { nonce: random::<32>(), verifier: random::<32>(), redirect, to }
    }
}
