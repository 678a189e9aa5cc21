//! What an ID token must say (OpenID Connect Core 1.0, section 3.1.3.7).

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl,
    JsonWebKeySet, Nonce, SignatureVerificationError,
    core::{CoreJsonWebKey, CoreJwsSigningAlgorithm},
};

use super::{claims::Claims, client::Token};

/// How far the clocks of the provider and of this machine may differ.
pub const SKEW: TimeDelta = TimeDelta::seconds(60);
/// How long ago the provider may have issued an identity that it hands over now.
const FRESH: TimeDelta = TimeDelta::seconds(600);
/// Characters of a subject at most (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;
/// Signatures that are taken: those with a public key. Whoever knows a shared secret could make its own.
const SIGNED_BY: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What a token is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// The access token that came with it.
    pub(super) access_token: &'a AccessToken,
    pub(super) now: DateTime<Utc>,
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    /// No key of the provider fits.
    NoKey,
    /// The clocks differ.
    Clock(String),
    /// It says something else than it must.
    Wrong(String),
}

/// The subject and the claims of a token that is in order.
pub(super) fn read(
    token: &Token,
    issuer: &IssuerUrl,
    keys: &JsonWebKeySet<CoreJsonWebKey>,
    expected: &Expected<'_>,
) -> Result<(String, Claims), Untaken> {
    let wrong = |why: &str| Untaken::Wrong(why.to_owned());
    let now = expected.now;
    // As for a public client: a client's secret signs nothing here.
    let verifier = IdTokenVerifier::new_public_client(
        ClientId::new(expected.client_id.to_owned()),
        issuer.clone(),
        keys.clone(),
    )
    .set_allowed_algs(SIGNED_BY)
    .set_time_fn(move || now - SKEW)
    .set_issue_time_verifier_fn(move |at| is_fresh(at, now));
    let claims = token.claims(&verifier, &Nonce::new(expected.nonce.to_owned())).map_err(Untaken::of)?;
    // The crate leaves this to its user.
    if claims.authorized_party().is_some_and(|party| party.as_str() != expected.client_id) {
        return Err(wrong("it was issued to another client"));
    }
    if let Some(found) = claims.access_token_hash() {
        let hash = token.signing_alg().and_then(|alg| Ok((alg, token.signing_key(&verifier)?)));
        let (alg, key) = hash.map_err(|_| Untaken::NoKey)?;
        let hash = AccessTokenHash::from_token(expected.access_token, alg, key);
        if hash.ok().as_ref() != Some(found) {
            return Err(wrong("it belongs to another access token"));
        }
    }
    let subject = claims.subject().to_string();
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
        return Err(wrong("its subject is empty or too long"));
    }
    Ok((subject, Claims::all_of(claims)))
}

fn is_fresh(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), String> {
    if at > now + SKEW || at < now - SKEW - FRESH {
        return Err(format!("it was issued at {at}, it is {now}"));
    }
    Ok(())
}

impl Untaken {
    fn of(why: ClaimsVerificationError) -> Self {
        use SignatureVerificationError::{AmbiguousKeyId, CryptoError, InvalidKey, NoMatchingKey};
        match why {
            ClaimsVerificationError::Expired(why) => Self::Clock(why),
            ClaimsVerificationError::SignatureVerification(
                AmbiguousKeyId(_) | CryptoError(_) | InvalidKey(_) | NoMatchingKey,
            ) => Self::NoKey,
            ClaimsVerificationError::SignatureVerification(why) => Self::Wrong(why.to_string()),
            ClaimsVerificationError::InvalidAudience(why) => {
                Self::Wrong(format!("it is not for this client alone: {why}"))
            }
            ClaimsVerificationError::InvalidIssuer(why) => {
                Self::Wrong(format!("its issuer is another: {why}"))
            }
            ClaimsVerificationError::InvalidNonce(_) => Self::Wrong("it belongs to another login".to_owned()),
            why => Self::Wrong(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use proptest::prelude::*;
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// A provider's key.
    struct Signer(EcdsaKeyPair, &'static str);

    impl Signer {
        fn new(kid: &'static str) -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
            Self(pair.unwrap(), kid)
        }

        fn keys(&self) -> JsonWebKeySet<CoreJsonWebKey> {
            let point = self.0.public_key().as_ref();
            let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
            let key = json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.1,
                "x": encode(&point[1..33]), "y": encode(&point[33..]),
            });
            serde_json::from_value(json!({"keys": [{"kty": "of the future"}, key]})).unwrap()
        }

        fn text(&self, header: &Value, claims: &Value) -> String {
            let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
            let message = format!("{}.{}", encode(header), encode(claims));
            let signed = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", BASE64URL_NOPAD.encode(signed.as_ref()))
        }

        fn take(&self, claims: &Value, now: i64) -> Result<(String, Claims), Untaken> {
            let header = json!({"alg": "ES256", "kid": self.1, "typ": "JWT"});
            take(&self.text(&header, claims), self, now)
        }
    }

    fn take(token: &str, signer: &Signer, now: i64) -> Result<(String, Claims), Untaken> {
        let token: Token = token.parse().map_err(|why| Untaken::Wrong(format!("{why}")))?;
        let access_token = AccessToken::new("access".to_owned());
        let expected = Expected {
            client_id: "upshot",
            nonce: "n",
            access_token: &access_token,
            now: DateTime::from_timestamp(now, 0).unwrap(),
        };
        let issuer = IssuerUrl::new("https://id.example".to_owned()).unwrap();
        read(&token, &issuer, &signer.keys(), &expected)
    }

    fn claims() -> Value {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"access");
        json!({
            "iss": "https://id.example", "sub": "ada", "aud": "upshot", "exp": NOW + 300, "iat": NOW - 1,
            "nonce": "n", "groups": ["ops"], "preferred_username": "ada",
            "at_hash": BASE64URL_NOPAD.encode(&digest.as_ref()[..16]),
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_token_in_order_is_taken_with_all_claims() {
        let signer = Signer::new("k");
        for claims in [
            claims(),
            with("aud", json!(["upshot"])),
            with("azp", json!("upshot")),
            with("email_verified", json!("true")),
            with("updated_at", json!("2026-11-30T12:00:00Z")),
        ] {
            let (subject, claims) = signer.take(&claims, NOW).unwrap();
            assert_eq!((subject.as_str(), claims.texts("groups")), ("ada", vec!["ops"]));
            assert_eq!(claims.texts("preferred_username"), ["ada"], "a claim that the crate knows");
        }
    }

    #[test]
    fn a_token_that_says_something_else_is_refused() {
        let signer = Signer::new("k");
        for (name, value) in [
            ("iss", json!("https://id.example/")),
            ("aud", json!("other")),
            ("aud", json!(["upshot", "other"])),
            ("aud", json!([])),
            ("azp", json!("other")),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
            ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            ("exp", Value::Null),
            ("iat", json!("now")),
        ] {
            let refused = signer.take(&with(name, value.clone()), NOW);
            assert!(matches!(refused, Err(Untaken::Wrong(_))), "{name} {value}: {refused:?}");
        }
    }

    #[test]
    fn a_token_that_another_key_signed_is_refused() {
        let (signer, other) = (Signer::new("k"), Signer::new("k"));
        let header = json!({"alg": "ES256", "kid": "k"});
        let token = other.text(&header, &claims());
        assert_eq!(take(&token, &signer, NOW).unwrap_err(), Untaken::NoKey);
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256", "kid": "k"}),
            json!({"alg": "RS256", "kid": "k"}),
            json!({"alg": "ES384", "kid": "k"}),
            json!({"alg": "ES256", "kid": "k", "crit": ["exp"]}),
            json!({"alg": "ES256", "kid": "l"}),
        ] {
            let token = signer.text(&header, &claims());
            assert!(take(&token, &signer, NOW).is_err(), "{header}");
            let (message, _) = token.rsplit_once('.').unwrap();
            assert!(take(&format!("{message}."), &signer, NOW).is_err(), "{header}");
            assert!(take(message, &signer, NOW).is_err(), "{header}");
        }
    }

    proptest! {
        #[test]
        fn clocks_may_differ_by_a_minute(off in -1_000_i64..1_000) {
            let signer = Signer::new("k");
            let taken = signer.take(&with("iat", json!(NOW)), NOW + off);
            if (-60..360).contains(&off) {
                prop_assert!(taken.is_ok(), "{:?}", taken);
            } else {
                prop_assert!(matches!(taken, Err(Untaken::Clock(_))));
            }
        }
    }
}
