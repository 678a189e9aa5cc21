//! An API token: what is asked for, what is stored, and what is shown.

use serde::{Deserialize, Serialize};

use crate::{
    error::Refusal,
    principal::{Identity, Principal},
    right::Rights,
    role::Role,
    scope::Scope,
    token::Hash,
};

/// What a token is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its name, for people.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Rights beside those of the role.
    pub more: Rights,
    /// Rights of the role that it lacks.
    pub without: Rights,
    /// Whose jobs it sees.
    pub scope: Scope,
    /// How long it is taken, ms; for ever without.
    pub lifetime_ms: Option<i64>,
    /// Who or what made it, for people.
    pub created_by: String,
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id: the public part of the credential.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Rights beside those of the role.
    pub more: Rights,
    /// Rights of the role that it lacks.
    pub without: Rights,
    /// Whose jobs it sees.
    pub scope: Scope,
    /// When it was made, UTC ms.
    pub created_at: i64,
    /// Who or what made it.
    pub created_by: String,
    /// When it expires, UTC ms.
    pub expires_at: Option<i64>,
    /// When it got another secret, UTC ms.
    pub rotated_at: Option<i64>,
    /// Until when the secret before the last rotation is taken, UTC ms.
    pub previous_until: Option<i64>,
    /// When it was last used, UTC ms, to the minute.
    pub used_at: Option<i64>,
}

impl Token {
    /// The rights in force.
    pub fn rights(&self) -> Rights {
        self.role.rights().with(self.more).without(self.without)
    }
}

/// A token as Redis holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    name: String,
    hash: Hash,
    role: Role,
    #[serde(default)]
    more: Rights,
    #[serde(default)]
    without: Rights,
    scope: Scope,
    created_at: i64,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

/// The secret before the last rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Previous {
    hash: Hash,
    until: i64,
}

impl Record {
    pub(super) fn new(new: NewToken, hash: Hash, now: i64) -> Self {
        let NewToken { name, role, more, without, scope, lifetime_ms, created_by } = new;
        let expires_at = lifetime_ms.map(|lifetime| now.saturating_add(lifetime));
        Self {
            name,
            hash,
            role,
            more,
            without,
            scope,
            created_at: now,
            created_by,
            expires_at,
            rotated_at: None,
            previous: None,
        }
    }

    /// The same with another secret. Of several rotations within the overlap, the last two secrets are
    /// taken.
    pub(super) fn rotated(self, hash: Hash, now: i64, overlap_ms: i64) -> Self {
        let until = now.saturating_add(overlap_ms);
        let previous = (overlap_ms > 0).then(|| Previous { hash: self.hash.clone(), until });
        Self { hash, previous, rotated_at: Some(now), ..self }
    }

    /// The principal, if the hash of the given secret is right at this time.
    pub(crate) fn check(self, id: &str, given: &Hash, now: i64) -> Result<Principal, Refusal> {
        let is_current = self.hash.is(given);
        let is_previous = self.previous.as_ref().is_some_and(|old| old.hash.is(given) && now < old.until);
        if !is_current && !is_previous {
            return Err(Refusal::Unknown);
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::Expired);
        }
        Ok(Principal {
            identity: Identity::Token { id: id.to_owned(), name: self.name },
            role: Some(self.role),
            rights: self.role.rights().with(self.more).without(self.without),
            scope: self.scope,
            until: self.expires_at,
        })
    }

    pub(super) fn text(&self) -> String {
        // Strings, numbers and lists always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn token(self, id: &str, used_at: Option<i64>) -> Token {
        Token {
            id: id.to_owned(),
            name: self.name,
            role: self.role,
            more: self.more,
            without: self.without,
            scope: self.scope,
            created_at: self.created_at,
            created_by: self.created_by,
            expires_at: self.expires_at,
            rotated_at: self.rotated_at,
            previous_until: self.previous.map(|previous| previous.until),
            used_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::right::Right;

    fn record() -> Record {
        let new = NewToken {
            name: "shop".to_owned(),
            role: Role::Producer,
            more: [Right::SeeArguments].into_iter().collect(),
            without: [Right::Share].into_iter().collect(),
            scope: Scope::everything(),
            lifetime_ms: Some(1_000),
            created_by: "local".to_owned(),
        };
        Record::new(new, Hash::of("first"), 5_000)
    }

    #[test]
    fn rights_are_those_of_the_role_with_more_and_less() {
        let principal = record().check("a", &Hash::of("first"), 5_500).unwrap();
        let rights: Vec<Right> = principal.rights.iter().collect();
        assert_eq!(rights, [Right::Publish, Right::SeeOwn, Right::SeeArguments]);
        assert_eq!(principal.until, Some(6_000));
    }

    proptest! {
        #[test]
        fn a_secret_is_taken_while_it_is_the_last_or_within_the_overlap(at in 0_i64..2_000, overlap in 0_i64..500) {
            let rotated = record().rotated(Hash::of("second"), 5_100, overlap);
            let now = 5_100 + at;
            let check = |secret: &str| rotated.clone().check("a", &Hash::of(secret), now);
            let expired = now >= 6_000;
            prop_assert_eq!(check("second").is_ok(), !expired);
            prop_assert_eq!(check("first").is_ok(), !expired && at < overlap);
            prop_assert_eq!(check("third").unwrap_err(), Refusal::Unknown);
        }
    }
}
