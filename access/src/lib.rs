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
//! | [`proof`] | what a principal was identified by |
//! | [`sessions`], [`secret`] | sessions of browsers in Redis, and their ids |
//! | [`links`] | capability links of end users |
//! | [`once`] | values that are taken once |
//! | [`devices`] | logins of a device that has no browser |
//! | [`oidc`] | people who log in with OpenID Connect |
//! | [`seal`] | texts that a principal carries and must not read |
//! | [`keys`] | the keys in Redis |
//! | [`error`] | why a call did not succeed |

pub mod acts;
pub mod devices;
pub mod error;
pub mod keys;
pub mod links;
pub mod oidc;
pub mod once;
pub mod principal;
pub mod proof;
pub mod right;
pub mod role;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod sessions;
pub mod token;
pub mod tokens;

pub use devices::Devices;
pub use error::{Error, Refusal};
pub use links::{CapabilityLinks, LinkId, LinkText};
pub use once::{FirstToken, Once};
pub use principal::{Identity, Principal};
pub use proof::Proof;
pub use right::{Right, Rights};
pub use role::Role;
pub use scope::{Facts, Only, Scope, Target};
pub use seal::Seal;
pub use secret::Secret;
pub use sessions::{Lengths, Login, Session, Sessions};
pub use token::Credential;
pub use tokens::{NewToken, Token, Tokens};
