//! The text of an API token: `upk_<id>_<secret>`.
//!
//! The id is public. The secret has 256 random bits, so a plain SHA-256 of it can be stored: there is
//! nothing to guess that a slow hash would protect.

use std::fmt;

use data_encoding::HEXLOWER;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Refusal;

/// What an API token begins with. Scanners for leaked secrets find it by this.
const PREFIX: &str = "upk_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// An API token as its holder has it. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    id: String,
    secret: String,
}

impl Credential {
    /// A new token.
    pub fn new() -> Self {
        Self { id: random::<ID_BYTES>(), secret: random::<SECRET_BYTES>() }
    }

    /// Another secret for the same id.
    pub fn renewed(id: &str) -> Self {
        Self { id: id.to_owned(), secret: random::<SECRET_BYTES>() }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(Refusal::Form)?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES) {
            return Err(Refusal::Form);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole text, to be shown once.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }

    /// The hash of the secret.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.secret)
    }
}

impl Default for Credential {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.id)
    }
}

/// The SHA-256 of a secret, in lower-case hexadecimal digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(HEXLOWER.encode(&Sha256::digest(secret)))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another hash is the same, in a time that does not tell where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// `BYTES` random bytes, in lower-case hexadecimal digits.
pub(crate) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::rng().fill_bytes(&mut bytes);
    HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let token = Credential::new();
        let read = Credential::parse(&token.expose()).unwrap();
        assert!(read == token && read.hash().is(&token.hash()));
        assert!(!Credential::renewed(token.id()).hash().is(&token.hash()));
        assert!(!format!("{token:?}").contains(&token.secret));
    }

    proptest! {
        #[test]
        fn other_texts_are_refused(text in "\\PC{0,100}|upk_[0-9a-f]{0,14}_[0-9a-f]{0,66}", cut in 0_usize..80) {
            prop_assume!(text.len() != 4 + 12 + 1 + 64);
            prop_assert!(Credential::parse(&text).is_err());
            let whole = Credential::new().expose();
            prop_assert!(Credential::parse(&whole[..cut]).is_err());
            prop_assert!(Credential::parse(&whole.to_uppercase()).is_err());
        }
    }
}
