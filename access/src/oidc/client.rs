//! The endpoints and keys of a provider, and the client for them.

use std::{error::Error as _, time::Instant};

use openidconnect::{
    Client, ClientId, ClientSecret, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdToken, IdTokenFields, IssuerUrl, JsonWebKeySet, StandardErrorResponse,
    StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use url::Url;

use super::{
    Config,
    claims::Claims,
    http::{FetchError, Http},
};

/// The client of the crate, whose ID tokens keep all claims.
pub(super) type Caller = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
/// What a provider answers to a code.
pub(super) type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
/// The identity that comes with it.
pub(super) type Token =
    IdToken<Claims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// A provider, as it described itself.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) issuer: IssuerUrl,
    pub(super) keys: JsonWebKeySet<CoreJsonWebKey>,
    pub(super) has_info: bool,
    pub(super) at: Instant,
}

impl Known {
    /// Asks a provider (OpenID Connect Discovery 1.0).
    pub(super) async fn fetch(config: &Config, http: &Http) -> Result<Self, FetchError> {
        let issuer = IssuerUrl::new(config.issuer.clone())
            .map_err(|why| FetchError(format!("`api.oidc.issuer` is no address: {why}")))?;
        let described = CoreProviderMetadata::discover_async(issuer.clone(), http).await;
        let described = described.map_err(|why| undescribed(&why))?;
        let endpoints = [
            Some(described.authorization_endpoint().url()),
            described.token_endpoint().map(|url| url.url()),
            described.userinfo_endpoint().map(|url| url.url()),
            Some(described.jwks_uri().url()),
        ];
        check_scheme(&config.issuer, endpoints.into_iter().flatten())?;
        let in_form = takes_secret_in_form(described.token_endpoint_auth_methods_supported());
        let keys = described.jwks().clone();
        let has_info = described.userinfo_endpoint().is_some();
        let id = ClientId::new(config.client_id.clone());
        let secret = config.client_secret.clone().map(ClientSecret::new);
        let mut caller = Caller::from_provider_metadata(described, id, secret);
        if in_form {
            caller = caller.set_auth_type(openidconnect::AuthType::RequestBody);
        }
        Ok(Self { caller, issuer, keys, has_info, at: Instant::now() })
    }
}

/// An https provider must not send a secret or a person over plain HTTP.
fn check_scheme<'a>(issuer: &str, mut endpoints: impl Iterator<Item = &'a Url>) -> Result<(), FetchError> {
    if !issuer.starts_with("https://") {
        return Ok(());
    }
    match endpoints.find(|endpoint| endpoint.scheme() != "https") {
        None => Ok(()),
        Some(plain) => Err(FetchError(format!("it names {plain}, which is not https"))),
    }
}

/// Whether the secret goes into the form, because the provider takes it only there. Without a list, it
/// takes `client_secret_basic`.
fn takes_secret_in_form(methods: Option<&Vec<CoreClientAuthMethod>>) -> bool {
    let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
    takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic)
}

fn undescribed(why: &DiscoveryError<FetchError>) -> FetchError {
    let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let remedy = match why {
        DiscoveryError::Validation(_) => "; write exactly what it calls itself as `api.oidc.issuer`",
        _ => "",
    };
    FetchError(super::provider::shown(&format!("its description cannot be used: {why}{cause}{remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_provider_leads_to_https_alone() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (safe, plain) = (url("https://id.example/a"), url("http://id.example/b"));
        assert!(check_scheme("https://id.example", [&safe].into_iter()).is_ok());
        assert!(check_scheme("http://id.example", [&plain].into_iter()).is_ok());
        let refused = check_scheme("https://id.example", [&safe, &plain].into_iter()).unwrap_err();
        assert!(refused.to_string().contains("http://id.example/b"), "{refused}");
    }

    #[test]
    fn the_secret_goes_into_the_form_only_where_it_must() {
        use CoreClientAuthMethod::{ClientSecretBasic as Basic, ClientSecretPost as Post};
        assert!(!takes_secret_in_form(None));
        assert!(!takes_secret_in_form(Some(&vec![Basic, Post])));
        assert!(takes_secret_in_form(Some(&vec![Post])));
    }
}
