//! What a principal was identified by, so that it can be identified again.

use serde::{Deserialize, Serialize};

use crate::token::Hash;

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
}
