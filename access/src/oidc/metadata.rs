//! Where a provider is asked for what (OpenID Connect Discovery 1.0).

use serde::Deserialize;
use url::Url;

use super::{
    fetch::{FetchError, Http},
    jws::Keys,
};

/// The endpoints and keys of a provider.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) endpoints: Endpoints,
    pub(super) keys: Keys,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Endpoints {
    issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Asks a provider.
    pub(super) async fn fetch(issuer: &str, http: &Http) -> Result<Self, FetchError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let endpoints: Endpoints = http.json(&url, None).await?;
        if endpoints.issuer != issuer {
            let found: String = endpoints.issuer.chars().take(200).collect();
            return Err(FetchError(format!(
                "{url} belongs to `{found}`: write exactly this as `api.oidc.issuer`"
            )));
        }
        // An https provider must not send a secret or a person over plain HTTP.
        if issuer.starts_with("https://") {
            let plain = endpoints.all().find(|endpoint| endpoint.scheme() != "https");
            if let Some(plain) = plain {
                return Err(FetchError(format!("{url} names {plain}, which is not https")));
            }
        }
        let keys = http.json(endpoints.jwks_uri.as_str(), None).await?;
        Ok(Self { endpoints, keys })
    }
}

impl Endpoints {
    fn all(&self) -> impl Iterator<Item = &Url> {
        [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri]
            .into_iter()
            .chain(&self.userinfo_endpoint)
    }

    /// Whether the secret goes into the form, because the provider takes it only there.
    pub(super) fn takes_secret_in_form(&self) -> bool {
        let takes = |method: &str| {
            // Without a list, the provider takes `client_secret_basic`.
            let methods = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
            methods.iter().any(|known| known == method)
        };
        takes("client_secret_post") && !takes("client_secret_basic")
    }
}
