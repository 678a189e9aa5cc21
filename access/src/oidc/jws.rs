//! Signatures of ID tokens: JSON Web Signature (RFC 7515) with the provider's keys (RFC 7517).
//!
//! Only signatures with a public key are taken. A token without a signature, and one with a shared
//! secret, are refused.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

/// Keys that are tried at most for a token that names none.
const MOST_KEYS: usize = 20;

/// The keys of a provider.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Keys {
    keys: Vec<serde_json::Value>,
}

/// A public key. Others of a provider's keys may have another form.
#[derive(Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood. None is.
    crit: Option<serde_json::Value>,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// No key of the provider fits.
    NoKey,
    /// The token has another form.
    Form(String),
}

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            // The second name is RFC 9864's.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The hash that claims about other tokens are made with.
    pub(super) const fn digest(self) -> &'static ring::digest::Algorithm {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &ring::digest::SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &ring::digest::SHA384,
            Self::Rs512 | Self::Ps512 | Self::EdDsa => &ring::digest::SHA512,
        }
    }

    /// The type and the curve that a key for it has.
    const fn key(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Es256 => ("EC", Some("P-256")),
            Self::Es384 => ("EC", Some("P-384")),
            Self::EdDsa => ("OKP", Some("Ed25519")),
            _ => ("RSA", None),
        }
    }

    const fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// The payload of a token that one of the keys has signed, and how.
pub(super) fn verified(token: &str, keys: &Keys) -> Result<(Algorithm, Vec<u8>), Unsigned> {
    let form = |why: &str| Unsigned::Form(why.to_owned());
    let (message, signed) = token.rsplit_once('.').ok_or_else(|| form("it has no signature"))?;
    let (header, payload) = message.split_once('.').ok_or_else(|| form("it has no payload"))?;
    let decode =
        |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| form("a part is not base64url"));
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| form("its header is no header"))?;
    if header.crit.is_some() {
        return Err(form("its header has `crit`"));
    }
    let Some(algorithm) = Algorithm::of(&header.alg) else {
        let alg: String = header.alg.chars().take(20).collect();
        return Err(Unsigned::Form(format!("it is signed with `{alg}`, which is not taken")));
    };
    let (payload, signed) = (decode(payload)?, decode(signed)?);
    let read = |key: &serde_json::Value| serde_json::from_value::<Key>(key.clone()).ok();
    let fits = keys.keys.iter().filter_map(read).filter(|key| key.fits(algorithm, &header));
    let is_signed = fits.take(MOST_KEYS).any(|key| key.has_signed(algorithm, message.as_bytes(), &signed));
    if is_signed { Ok((algorithm, payload)) } else { Err(Unsigned::NoKey) }
}

impl Key {
    fn fits(&self, algorithm: Algorithm, header: &Header) -> bool {
        let (kty, crv) = algorithm.key();
        self.kty == kty
            && (crv.is_none() || self.crv.as_deref() == crv)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.alg.as_deref().is_none_or(|alg| alg == header.alg)
            && (header.kid.is_none() || self.kid == header.kid)
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signed: &[u8]) -> bool {
        self.check(algorithm, message, signed).is_some()
    }

    fn check(&self, algorithm: Algorithm, message: &[u8], signed: &[u8]) -> Option<()> {
        let decode = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
        if let Some(parameters) = algorithm.rsa() {
            let key = RsaPublicKeyComponents { n: decode(&self.n)?, e: decode(&self.e)? };
            return key.verify(parameters, message, signed).ok();
        }
        let x = decode(&self.x)?;
        let (by, key): (&dyn signature::VerificationAlgorithm, Vec<u8>) = match algorithm {
            Algorithm::EdDsa => (&signature::ED25519, x),
            Algorithm::Es384 => (&signature::ECDSA_P384_SHA384_FIXED, point(&x, &decode(&self.y)?)),
            _ => (&signature::ECDSA_P256_SHA256_FIXED, point(&x, &decode(&self.y)?)),
        };
        UnparsedPublicKey::new(by, key).verify(message, signed).ok()
    }
}

/// An uncompressed point of a curve (SEC 1, section 2.3.3).
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};

    use super::*;

    /// A provider's key of a test.
    pub(in super::super) struct Signer {
        pair: EcdsaKeyPair,
        kid: &'static str,
    }

    impl Signer {
        pub(in super::super) fn new(kid: &'static str) -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
            Self { pair, kid }
        }

        pub(in super::super) fn jwk(&self) -> Value {
            let point = self.pair.public_key().as_ref();
            let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
            json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
                "x": encode(&point[1..33]), "y": encode(&point[33..]),
            })
        }

        pub(in super::super) fn keys(&self) -> Keys {
            Keys { keys: vec![json!({"kty": "of the future"}), self.jwk()] }
        }

        pub(in super::super) fn token(&self, claims: &Value) -> String {
            self.token_with(&json!({"alg": "ES256", "kid": self.kid, "typ": "JWT"}), claims)
        }

        pub(in super::super) fn token_with(&self, header: &Value, claims: &Value) -> String {
            let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
            let message = format!("{}.{}", encode(header), encode(claims));
            let signed = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", BASE64URL_NOPAD.encode(signed.as_ref()))
        }
    }

    #[test]
    fn a_token_is_taken_with_the_key_that_signed_it() {
        let signer = Signer::new("one");
        let token = signer.token(&json!({"a": 1}));
        let (algorithm, payload) = verified(&token, &signer.keys()).unwrap();
        assert_eq!((algorithm, payload.as_slice()), (Algorithm::Es256, &br#"{"a":1}"#[..]));
        assert_eq!(verified(&token, &Signer::new("one").keys()).unwrap_err(), Unsigned::NoKey);
        assert_eq!(verified(&token, &Signer::new("two").keys()).unwrap_err(), Unsigned::NoKey);
        let unnamed = signer.token_with(&json!({"alg": "ES256"}), &json!({}));
        assert!(verified(&unnamed, &signer.keys()).is_ok());
    }

    #[test]
    fn a_changed_token_is_refused() {
        let signer = Signer::new("one");
        let token = signer.token(&json!({"sub": "ada"}));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verified(&changed, &signer.keys()).is_err(), "{changed}");
        }
    }

    #[test]
    fn tokens_without_a_public_key_are_refused() {
        let signer = Signer::new("one");
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256", "kid": "one"}),
            json!({"alg": "RS256", "kid": "one"}),
            json!({"alg": "ES384", "kid": "one"}),
            json!({"alg": "ES256", "kid": "one", "crit": ["exp"]}),
            json!({"alg": "ES256", "kid": "two"}),
        ] {
            let token = signer.token_with(&header, &json!({}));
            assert!(verified(&token, &signer.keys()).is_err(), "{header}");
            let (message, _) = token.rsplit_once('.').unwrap();
            assert!(verified(&format!("{message}."), &signer.keys()).is_err(), "{header}");
            assert!(verified(message, &signer.keys()).is_err(), "{header}");
        }
    }

    #[test]
    fn the_example_of_rfc_8037_is_taken() {
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvM\
                     g3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let (algorithm, payload) = verified(token, &Keys { keys: vec![key] }).unwrap();
        assert_eq!((algorithm, payload.as_slice()), (Algorithm::EdDsa, &b"Example of Ed25519 signing"[..]));
    }
}
