//! What a principal was identified by, so that it can be identified again.

use serde::{Deserialize, Serialize};

use crate::{scope::Scope, token::Hash};

/// What a principal was identified by. Holds hashes only, so it may be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// An API token.
    Token {
        /// Its id.
        id: String,
        /// The hash of its secret.
        hash: Hash,
    },
    /// A session, by the hash of its id.
    Session(Hash),
    /// A capability link.
    Link {
        /// Its id.
        id: String,
        /// The hash of the key that signed it.
        key: Hash,
        /// What it shows. The signature was verified, so this is what the link says.
        scope: Scope,
    },
}
