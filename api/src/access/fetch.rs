//! The identity provider, and what asks it.

#[cfg(not(feature = "oidc"))]
mod absent;
#[cfg(feature = "oidc")]
mod sent;

#[cfg(not(feature = "oidc"))]
pub use absent::provider;
#[cfg(feature = "oidc")]
pub use sent::provider;

/// Why the settings of the provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of authorities cannot be used.
    #[cfg(feature = "oidc")]
    #[error("`api.oidc.ca_file` is {path} ({why}): name a file with certificates (PEM)")]
    Authority {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// TLS cannot be set up.
    #[cfg(feature = "oidc")]
    #[error("`api.oidc` cannot be used, because TLS cannot be set up: {0}")]
    Tls(String),
    /// The program is built without it.
    #[cfg(not(feature = "oidc"))]
    #[error(
        "`api.oidc` is set, and this program is built without OpenID Connect: build it with the feature `oidc` \
         of the crate `upshot`, or remove the section"
    )]
    NotBuilt,
}
