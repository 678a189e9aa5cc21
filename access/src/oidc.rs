//! People who log in with OpenID Connect: authorization code with PKCE, nonce and state.
//!
//! The provider is asked for its endpoints and keys at the first login, and again when they are old or a
//! signature fits no key. So a provider that is away at start stops nothing.
//!
//! The relying party is our own, on ring and JSON. The crates of the field bring some forty others, among
//! them a third implementation of cryptography, to a program that has two.

mod claims;
mod fetch;
mod id_token;
mod jws;
mod metadata;
mod settings;

use std::{
    sync::{PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

pub use self::{
    fetch::{Answer, Ask, FetchError, Fetching, Http},
    id_token::SKEW,
    settings::Config,
};

use self::{
    claims::Claims,
    id_token::{Expected, Untaken},
    metadata::Metadata,
};
use crate::{principal::Principal, secret::Secret, token::random};

/// How long the endpoints and keys of the provider are taken for current.
const KNOWN: Duration = Duration::from_secs(600);

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

/// What the provider answers to a code.
#[derive(Debug, Deserialize)]
struct Exchanged {
    access_token: String,
    id_token: Option<String>,
}

/// Why the provider does not answer to a code (RFC 6749, section 5.2).
#[derive(Debug, Deserialize)]
struct NotExchanged {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The provider.
#[derive(Debug)]
pub struct Provider {
    config: Config,
    http: Http,
    known: RwLock<Option<(Metadata, Instant)>>,
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
        let mut url = self.metadata(KNOWN).await?.endpoints.authorization_endpoint;
        // RFC 7636, section 4.2.
        let challenge = ring::digest::digest(&ring::digest::SHA256, pending.verifier.as_bytes());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &pending.redirect)
            .append_pair("scope", &self.config.scope())
            .append_pair("state", state.expose())
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &BASE64URL_NOPAD.encode(challenge.as_ref()))
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The principal of a person who comes back with a code.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn finish(&self, pending: Pending, code: String) -> Result<Principal, Error> {
        let mut metadata = self.metadata(KNOWN).await?;
        let exchanged = self.exchange(&metadata, &pending, code).await?;
        let token = exchanged.id_token.ok_or_else(|| Error::Invalid("there is none".to_owned()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            nonce: &pending.nonce,
            access_token: &exchanged.access_token,
            now: i64::try_from(now).unwrap_or(i64::MAX),
        };
        let mut read = id_token::read(&token, &metadata.keys, &expected);
        if matches!(read, Err(Untaken::NoKey)) {
            // The provider may have changed its keys.
            metadata = self.metadata(Duration::ZERO).await?;
            read = id_token::read(&token, &metadata.keys, &expected);
        }
        let (subject, mut claims) = read.map_err(|why| match why {
            Untaken::NoKey => Error::Invalid("its signature fits no key of the provider".to_owned()),
            Untaken::Clock(why) => Error::Clock(why),
            Untaken::Wrong(why) => Error::Invalid(why),
        })?;
        if self.config.lacks(&claims) {
            claims.add(self.more(&metadata, &exchanged.access_token, &subject).await?);
        }
        self.config.principal(&claims, subject)
    }

    /// Exchanges a code for tokens (RFC 6749, section 4.1.3, and RFC 7636, section 4.5).
    async fn exchange(
        &self,
        metadata: &Metadata,
        pending: &Pending,
        code: String,
    ) -> Result<Exchanged, Error> {
        let mut form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", pending.redirect.clone()),
            ("code_verifier", pending.verifier.clone()),
        ];
        let id = self.config.client_id.clone();
        let authorization = match &self.config.client_secret {
            None => {
                form.push(("client_id", id));
                None
            }
            Some(secret) if metadata.endpoints.takes_secret_in_form() => {
                form.extend([("client_id", id), ("client_secret", secret.clone())]);
                None
            }
            Some(secret) => Some(basic(&id, secret)),
        };
        let url = metadata.endpoints.token_endpoint.to_string();
        let ask = Ask { url, form: Some(form), authorization };
        let answer = self.http.answer(ask).await.map_err(|why| self.away(why))?;
        if answer.status == 200 {
            let read = serde_json::from_slice(&answer.body);
            return read.map_err(|why| self.away(FetchError(format!("its tokens cannot be read: {why}"))));
        }
        match serde_json::from_slice::<NotExchanged>(&answer.body) {
            Ok(NotExchanged { error, error_description }) => {
                Err(Error::Refused(shown(&format!("{error} {error_description}"))))
            }
            Err(_) => Err(self.away(FetchError(format!("it answers {} to a code", answer.status)))),
        }
    }

    /// What the provider says of the person beside the token.
    async fn more(&self, metadata: &Metadata, access_token: &str, subject: &str) -> Result<Claims, Error> {
        let Some(url) = &metadata.endpoints.userinfo_endpoint else { return Ok(Claims::default()) };
        let bearer = format!("Bearer {access_token}");
        let info: Value = self.http.json(url.as_str(), Some(bearer)).await.map_err(|why| self.away(why))?;
        // OpenID Connect Core 1.0, section 5.3.2.
        if info.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Error::Invalid("what is said beside it belongs to another person".to_owned()));
        }
        Ok(Claims::of(info))
    }

    /// The endpoints and keys of the provider, no older than this.
    async fn metadata(&self, age: Duration) -> Result<Metadata, Error> {
        // A panic elsewhere cannot leave the value half changed, so a poisoned lock is taken.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((metadata, _)) = known.filter(|(_, at)| at.elapsed() < age) {
            return Ok(metadata);
        }
        let metadata =
            Metadata::fetch(&self.config.issuer, &self.http).await.map_err(|why| self.away(why))?;
        let known = (metadata.clone(), Instant::now());
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(metadata)
    }

    fn away(&self, FetchError(why): FetchError) -> Error {
        Error::Away { issuer: self.config.issuer.clone(), why }
    }
}

/// The header that carries the secret of a client (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", BASE64.encode(format!("{}:{}", encode(id), encode(secret)).as_bytes()))
}

/// The beginning of a foreign text, for an error.
fn shown(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(200).collect()
}
