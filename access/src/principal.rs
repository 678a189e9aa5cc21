//! Principals: who or what acts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    right::{Right, Rights},
    role::Role,
    scope::Scope,
};

/// Who or what acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// Whatever reaches an API without authentication.
    Local,
    /// A service with an API token.
    Token {
        /// The id of the token.
        id: String,
        /// Its name.
        name: String,
    },
    /// A person who has logged in with OpenID Connect.
    Person {
        /// The issuer of the identity.
        issuer: String,
        /// The subject at the issuer.
        subject: String,
        /// The name for people.
        name: String,
    },
    /// An end user with a capability link.
    Link {
        /// The id of the link.
        id: String,
    },
    /// The holder of the one-time administrator link.
    FirstAdministrator,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Token { id, name } => write!(f, "token {name} ({id})"),
            Self::Person { name, .. } => write!(f, "{name}"),
            Self::Link { id } => write!(f, "link {id}"),
            Self::FirstAdministrator => f.write_str("first administrator"),
        }
    }
}

/// A principal: its identity, what it may do, and whose jobs it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Who or what it is.
    pub identity: Identity,
    /// The role; none for a capability link.
    pub role: Option<Role>,
    /// The rights in force.
    pub rights: Rights,
    /// Whose jobs it sees.
    pub scope: Scope,
    /// When it ends, UTC ms.
    pub until: Option<i64>,
}

impl Principal {
    /// The principal of an API without authentication: every right, every job.
    pub fn local() -> Self {
        Self {
            identity: Identity::Local,
            role: Some(Role::Administrator),
            rights: Rights::all(),
            scope: Scope::everything(),
            until: None,
        }
    }

    /// Whether the principal has a right.
    pub const fn may(&self, right: Right) -> bool {
        self.rights.has(right)
    }
}
