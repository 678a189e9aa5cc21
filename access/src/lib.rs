//! Who may do what: principals, rights, scopes, tokens, and the record of what principals do.
//!
//! The crate knows no HTTP. The API asks it who a request comes from, and refuses what the principal
//! may not do.
//!
//! | module | its one thing |
//! |---|---|
//! | [`right`], [`role`] | rights, and the roles that are sets of them |
//! | [`scope`] | whose jobs a principal sees |
//! | [`principal`] | who or what acts |
//! | [`token`] | the text of an API token |
//! | [`tokens`] | API tokens in Redis |
//! | [`acts`] | the audit log: what principals do |
//! | [`seal`] | texts that a principal carries and must not read |
//! | [`keys`] | the keys in Redis |
//! | [`error`] | why a call did not succeed |

pub mod acts;
pub mod error;
pub mod keys;
pub mod principal;
pub mod right;
pub mod role;
pub mod scope;
pub mod seal;
pub mod token;
pub mod tokens;

pub use error::Error;
pub use principal::{Identity, Principal};
pub use right::{Right, Rights};
pub use role::Role;
pub use scope::{Facts, Only, Scope, Target};
pub use seal::Seal;
pub use token::Credential;
pub use tokens::{NewToken, Token, Tokens};
