//! What an ID token must say (OpenID Connect Core 1.0, section 3.1.3.7).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{
    claims::Claims,
    jws::{Algorithm, Keys, Unsigned, verified},
};

/// How far the clocks of the provider and of this machine may differ.
pub const SKEW: Duration = Duration::from_secs(60);
/// How long ago the provider may have issued an identity that it hands over now.
const FRESH: Duration = Duration::from_secs(600);
/// Characters of a subject at most (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// What a token is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// The access token that came with it.
    pub(super) access_token: &'a str,
    /// The time, UTC s.
    pub(super) now: i64,
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

#[derive(Debug, Deserialize)]
struct Required {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    iat: f64,
    nonce: Option<String>,
    azp: Option<String>,
    at_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The subject and the claims of a token that is in order.
pub(super) fn read(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<(String, Claims), Untaken> {
    let (algorithm, payload) = verified(token, keys).map_err(|why| match why {
        Unsigned::NoKey => Untaken::NoKey,
        Unsigned::Form(why) => Untaken::Wrong(why),
    })?;
    let wrong = |why: serde_json::Error| Untaken::Wrong(format!("its claims: {why}"));
    let claims: Value = serde_json::from_slice(&payload).map_err(wrong)?;
    let required = Required::deserialize(&claims).map_err(wrong)?;
    required.check(algorithm, expected)?;
    Ok((required.sub, Claims::of(claims)))
}

impl Required {
    fn check(&self, algorithm: Algorithm, expected: &Expected<'_>) -> Result<(), Untaken> {
        let wrong = |why: &str| Err(Untaken::Wrong(why.to_owned()));
        let audience = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many,
        };
        if self.iss != expected.issuer {
            return wrong("its issuer is another");
        }
        if audience.is_empty() || audience.iter().any(|one| one != expected.client_id) {
            return wrong("it is not for this client alone");
        }
        if self.azp.as_deref().is_some_and(|azp| azp != expected.client_id) {
            return wrong("it was issued to another client");
        }
        if !self.nonce.as_deref().is_some_and(|nonce| is_same(nonce, expected.nonce)) {
            return wrong("it belongs to another login");
        }
        if self.sub.is_empty() || self.sub.len() > LONGEST_SUBJECT {
            return wrong("its subject is empty or too long");
        }
        let hash = at_hash(algorithm, expected.access_token);
        if self.at_hash.as_deref().is_some_and(|found| !is_same(found, &hash)) {
            return wrong("it belongs to another access token");
        }
        self.check_times(expected.now)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    fn check_times(&self, now: i64) -> Result<(), Untaken> {
        let (now, skew) = (now as f64, SKEW.as_secs_f64());
        let clock =
            |what: &str, at: f64| Err(Untaken::Clock(format!("{what} at {at:.0} s, it is {now:.0} s")));
        if self.exp <= now - skew {
            return clock("it expired", self.exp);
        }
        if self.iat > now + skew || self.iat < now - skew - FRESH.as_secs_f64() {
            return clock("it was issued", self.iat);
        }
        Ok(())
    }
}

/// What an ID token says of its access token: the left half of its hash.
fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let digest = ring::digest::digest(algorithm.digest(), access_token.as_bytes());
    let half = digest.as_ref().len() / 2;
    BASE64URL_NOPAD.encode(digest.as_ref().get(..half).unwrap_or_default())
}

fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::oidc::jws::tests::Signer;

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://id.example",
        client_id: "upshot",
        nonce: "n",
        access_token: "access",
        now: NOW,
    };

    fn claims() -> Value {
        json!({
            "iss": "https://id.example", "sub": "ada", "aud": "upshot", "exp": NOW + 300, "iat": NOW - 1,
            "nonce": "n", "groups": ["ops"], "at_hash": at_hash(Algorithm::Es256, "access"),
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn take(signer: &Signer, claims: &Value, expected: &Expected<'_>) -> Result<(String, Claims), Untaken> {
        read(&signer.token(claims), &signer.keys(), expected)
    }

    #[test]
    fn a_token_in_order_is_taken() {
        let signer = Signer::new("k");
        for claims in [claims(), with("aud", json!(["upshot"])), with("azp", json!("upshot"))] {
            let (subject, claims) = take(&signer, &claims, &EXPECTED).unwrap();
            assert_eq!((subject.as_str(), claims.texts("groups")), ("ada", vec!["ops"]));
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
            let refused = take(&signer, &with(name, value.clone()), &EXPECTED);
            assert!(matches!(refused, Err(Untaken::Wrong(_))), "{name} {value}: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn clocks_may_differ_by_a_minute(off in -1_000_i64..1_000) {
            let signer = Signer::new("k");
            let mut claims = claims();
            claims["iat"] = json!(NOW);
            let taken = take(&signer, &claims, &Expected { now: NOW + off, ..EXPECTED });
            if (-60..360).contains(&off) {
                prop_assert!(taken.is_ok(), "{:?}", taken);
            } else {
                prop_assert!(matches!(taken, Err(Untaken::Clock(_))));
            }
        }
    }
}
