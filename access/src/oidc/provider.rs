//! The provider: where a person logs in, and who comes back.
//!
//! The provider is asked for its endpoints and keys at the first login, and again when they are old or a
//! signature fits no key. So a provider that is away at start stops nothing.

use std::{
    borrow::Cow,
    error::Error as _,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use openidconnect::{
    AccessToken, AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SubjectIdentifier,
    TokenResponse, UserInfoClaims, UserInfoError,
    core::{CoreErrorResponseType, CoreGenderClaim, CoreResponseType},
};
use url::Url;

use super::{
    Config, Error, Pending,
    claims::Claims,
    client::{Known, Tokens},
    http::Http,
    id_token::{self, Expected, Untaken},
};
use crate::{principal::Principal, secret::Secret};

/// How long the endpoints and keys of the provider are taken for current.
const CURRENT: Duration = Duration::from_secs(600);
/// Letters of a foreign text in an error.
const LONGEST: usize = 200;

/// The provider.
#[derive(Debug)]
pub struct Provider {
    config: Config,
    http: Http,
    known: RwLock<Option<Arc<Known>>>,
}

impl Provider {
    /// The provider of these settings, asked by this client.
    pub const fn new(config: Config, http: Http) -> Self {
        Self { config, http, known: RwLock::new(None) }
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The address at the provider where a person logs in.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn address(&self, pending: &Pending, state: &Secret) -> Result<Url, Error> {
        let known = self.known(CURRENT).await?;
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let (state, nonce) = (state.expose().to_owned(), pending.nonce.clone());
        let (url, _, _) = known
            .caller
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(self.config.scopes().map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(self.back(pending)?))
            .url();
        Ok(url)
    }

    /// The principal of a person who comes back with a code.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn finish(&self, pending: Pending, code: String) -> Result<Principal, Error> {
        let mut known = self.known(CURRENT).await?;
        let tokens = self.exchange(&known, &pending, code).await?;
        let token = tokens.id_token().ok_or_else(|| Error::Invalid("there is none".to_owned()))?;
        let expected = Expected {
            client_id: &self.config.client_id,
            nonce: &pending.nonce,
            access_token: tokens.access_token(),
            now: chrono::Utc::now(),
        };
        let mut read = id_token::read(token, &known.issuer, &known.keys, &expected);
        if matches!(read, Err(Untaken::NoKey)) {
            // The provider may have changed its keys.
            known = self.known(Duration::ZERO).await?;
            read = id_token::read(token, &known.issuer, &known.keys, &expected);
        }
        let (subject, mut claims) = read.map_err(|why| match why {
            Untaken::NoKey => Error::Invalid("its signature fits no key of the provider".to_owned()),
            Untaken::Clock(why) => Error::Clock(why),
            Untaken::Wrong(why) => Error::Invalid(shown(&why)),
        })?;
        if known.has_info && self.config.lacks(&claims) {
            claims.add(self.more(&known, tokens.access_token(), &subject).await?);
        }
        self.config.principal(&claims, subject)
    }

    /// Exchanges a code for tokens (RFC 6749, section 4.1.3, and RFC 7636, section 4.5).
    async fn exchange(&self, known: &Known, pending: &Pending, code: String) -> Result<Tokens, Error> {
        let request = known.caller.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|_| self.away("it names no token endpoint"))?;
        let answer = request
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .set_redirect_uri(Cow::Owned(self.back(pending)?))
            .request_async(&self.http)
            .await;
        answer.map_err(|why| match why {
            RequestTokenError::ServerResponse(answer) => {
                let error: &CoreErrorResponseType = answer.error();
                let description = answer.error_description().map_or("", String::as_str);
                Error::Refused(shown(&format!("{} {description}", error.as_ref())))
            }
            RequestTokenError::Request(why) => self.away(&why),
            // An ID token of another form, in an answer that is in order.
            RequestTokenError::Parse(why, _) if why.path().to_string().starts_with("id_token") => {
                Error::Invalid(shown(&why.inner().to_string()))
            }
            RequestTokenError::Parse(why, _) => {
                self.away(&format!("its answer to a code cannot be read: {why}"))
            }
            RequestTokenError::Other(why) => {
                self.away(&format!("its answer to a code cannot be used: {why}"))
            }
        })
    }

    /// What the provider says of the person beside the token.
    async fn more(&self, known: &Known, token: &AccessToken, subject: &str) -> Result<Claims, Error> {
        // The crate panics on a token that no header can carry.
        if !token.secret().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::Invalid("its access token has letters that no token has".to_owned()));
        }
        let subject = Some(SubjectIdentifier::new(subject.to_owned()));
        let request = known.caller.user_info(token.clone(), subject);
        let request = request.map_err(|_| self.away("it names no userinfo endpoint"))?;
        let info: Result<UserInfoClaims<Claims, CoreGenderClaim>, _> =
            request.request_async(&self.http).await;
        match info {
            Ok(info) => Ok(Claims::all_of(&info)),
            // OpenID Connect Core 1.0, section 5.3.2.
            Err(UserInfoError::ClaimsVerification(why)) => {
                Err(Error::Invalid(shown(&format!("what is said beside it: {why}"))))
            }
            Err(why) => {
                let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                Err(self.away(&format!("it does not say who a person is: {why}{cause}")))
            }
        }
    }

    /// Where the provider sends the browser back to.
    fn back(&self, pending: &Pending) -> Result<RedirectUrl, Error> {
        RedirectUrl::new(pending.redirect.clone())
            .map_err(|why| self.away(&format!("{} is no address: {why}", pending.redirect)))
    }

    /// The endpoints and keys of the provider, no older than this.
    async fn known(&self, age: Duration) -> Result<Arc<Known>, Error> {
        // A panic elsewhere cannot leave the value half changed, so a poisoned lock is taken.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.at.elapsed() < age) {
            return Ok(known);
        }
        let known = Known::fetch(&self.config, &self.http).await.map_err(|why| self.away(&why))?;
        let known = Arc::new(known);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    fn away(&self, why: &(impl ToString + ?Sized)) -> Error {
        Error::Away { issuer: self.config.issuer.clone(), why: shown(&why.to_string()) }
    }
}

/// The beginning of a foreign text, for an error.
pub(super) fn shown(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}
