//! A session: what it begins with, what is stored, and how long it lasts.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Refusal},
    keys::Keys,
    principal::{Identity, Principal},
    token::{Credential, Hash},
    tokens::Record as Token,
};

/// A renewal writes, so it waits until this much of the idle time is used.
const RENEWED_MS: i64 = 60_000;
const RENEWED_PART: i64 = 10;

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// A session that is not used for this long ends, ms.
    pub idle_ms: i64,
    /// A session ends after this long in any case, ms.
    pub absolute_ms: i64,
}

impl Lengths {
    /// The ms after which a session expires at this time, unless it is used.
    const fn left(&self, now: i64, until: i64) -> i64 {
        let left = until.saturating_sub(now);
        if left < self.idle_ms { left } else { self.idle_ms }
    }

    /// The new time to live of a session that is used, if it is time to write one.
    pub(super) fn renewal(&self, ttl: i64, now: i64, until: i64) -> Option<i64> {
        let longer = self.left(now, until);
        (longer - ttl >= RENEWED_MS.min(self.idle_ms / RENEWED_PART).max(1)).then_some(longer)
    }
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub enum Login {
    /// A principal that needs no further check: a person, or the first administrator.
    Of(Principal),
    /// An API token.
    Token(Credential, Principal),
    /// A capability link, and the hash of the key that signed it.
    Link(Principal, Hash),
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who or what is logged in.
    pub principal: Principal,
    /// When it began, UTC ms.
    pub created_at: i64,
    /// When it ends in any case, UTC ms.
    pub until: i64,
}

/// A session as Redis holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    principal: Principal,
    created_at: i64,
    until: i64,
    /// Of an API token: the hash of its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Hash>,
    /// Of a link: the hash of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Hash>,
}

/// What the script that looks for a session returns: the session, its token, the key of links, when
/// its revoked link expires, when the session expires, now.
pub(super) type Looked = (Option<String>, Option<String>, Option<String>, Option<f64>, i64, i64);

impl Record {
    pub(super) fn new(login: Login, now: i64, lengths: &Lengths) -> Self {
        let (principal, secret, key) = match login {
            Login::Of(principal) => (principal, None, None),
            Login::Token(credential, principal) => (principal, Some(credential.hash()), None),
            Login::Link(principal, key) => (principal, None, Some(key)),
        };
        let absolute = now.saturating_add(lengths.absolute_ms);
        let until = principal.until.map_or(absolute, |until| until.min(absolute));
        Self { principal, created_at: now, until, secret, key }
    }

    pub(super) const fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) const fn until(&self) -> i64 {
        self.until
    }

    /// The ms that a new session has, if any.
    pub(super) fn ttl(&self, now: i64, lengths: &Lengths) -> Option<i64> {
        Some(lengths.left(now, self.until)).filter(|left| *left > 0)
    }

    /// The id of the token that it ends with.
    pub(super) fn token(&self) -> &str {
        match &self.principal.identity {
            Identity::Token { id, .. } => id,
            _ => "",
        }
    }

    /// The id of the link that it ends with.
    pub(super) fn link(&self) -> &str {
        match &self.principal.identity {
            Identity::Link { id } => id,
            _ => "",
        }
    }

    pub(super) fn text(&self) -> String {
        // Strings, numbers and lists always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn session(self) -> Session {
        Session { principal: self.principal, created_at: self.created_at, until: self.until }
    }

    /// The session that was found, if it and what it began with are in force; when it expires, and the
    /// time.
    pub(super) fn check(looked: Looked, keys: &Keys) -> Result<(Session, i64, i64), Error> {
        let (text, token, signing, revoked, expires, now) = looked;
        let text = text.ok_or(Refusal::Ended)?;
        let damaged = |why| Error::Damaged { key: keys.sessions(), why };
        let mut record: Self = serde_json::from_str(&text).map_err(damaged)?;
        if record.until <= now {
            return Err(Refusal::Ended.into());
        }
        if let Some(secret) = &record.secret {
            let token = token.ok_or(Refusal::Ended)?;
            let damaged = |why| Error::Damaged { key: keys.tokens(), why };
            let token: Token = serde_json::from_str(&token).map_err(damaged)?;
            record.principal = token.check(record.token(), secret, now).map_err(|_| Refusal::Ended)?;
        }
        if let Some(key) = &record.key {
            let is_signed = signing.is_some_and(|signing| Hash::of(&signing).is(key));
            if !is_signed || revoked.is_some() {
                return Err(Refusal::Ended.into());
            }
        }
        Ok((record.session(), expires, now))
    }
}

/// The hash under which a person's sessions are found.
pub(super) fn person(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Person { issuer, subject, .. } => {
            Some(Hash::of(&format!("{issuer}|{subject}")).as_str().to_owned())
        }
        _ => None,
    }
}

/// What a principal stands for, to be compared with another login of the same person.
pub(super) fn power(principal: &Principal) -> String {
    // Strings and lists always serialise.
    let text = serde_json::to_string(&(principal.role, principal.rights, &principal.scope));
    Hash::of(&text.unwrap_or_default()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_session_never_outlives_its_absolute_end(
            (idle_ms, absolute_ms) in (1_i64..1_000_000, 1_i64..10_000_000),
            expires in prop::option::of(1_i64..10_000_000),
            used in prop::collection::vec(0_i64..200_000, 0..50),
        ) {
            let lengths = Lengths { idle_ms, absolute_ms };
            let principal = Principal { until: expires, ..Principal::local() };
            let record = Record::new(Login::Of(principal), 0, &lengths);
            let until = record.until();
            prop_assert!(until <= absolute_ms && expires.is_none_or(|expires| until <= expires));
            let mut now = 0;
            let mut ends = record.ttl(0, &lengths).unwrap();
            for pause in used {
                now += pause;
                if now >= ends {
                    break;
                }
                if let Some(longer) = lengths.renewal(ends - now, now, until) {
                    prop_assert!(now + longer > ends);
                    ends = now + longer;
                }
                // It is never shorter by more than the pause between two writes.
                let slack = RENEWED_MS.min(idle_ms / RENEWED_PART).max(1);
                prop_assert!(ends <= until && ends > until.min(now + idle_ms) - slack);
            }
        }
    }
}
