//! Who may do what: which principal sends a request, and whether it may.
//!
//! | module | its one thing |
//! |---|---|
//! | [`mode`] | whether the API asks for authentication |
//! | [`table`] | the right that each operation needs, from the OpenAPI document |
//! | [`gate`] | finds the principal of a request, and refuses what it may not do |
//! | [`people`] | what logins, sessions and links need |
//! | [`cookie`], [`transport`] | cookies of browsers; logins over HTTPS |
//! | [`client`], [`pace`] | where a request comes from, and how often it may |
//! | [`browser`] | forged changes, headers of answers, other origins |
//! | [`fetch`] | what asks the identity provider |
//! | [`ticket`] | a credential for one address |
//! | [`watch`] | ends streams whose principal has ended |
//! | [`first`] | the one-time administrator link |
//! | [`pages`] | the answer for a person, where a script gets a problem |
//! | [`acts`] | the audit log |
//! | [`caller`] | the principal, for handlers |
//! | [`cursor`] | where a list continues, for principals that see a part of it |

pub mod acts;
pub mod browser;
pub mod caller;
pub mod client;
pub mod cookie;
pub mod cursor;
pub mod fetch;
pub mod first;
pub mod gate;
pub mod mode;
pub mod pace;
pub mod pages;
pub mod people;
pub mod table;
pub mod ticket;
pub mod transport;
pub mod watch;

pub use acts::Act;
pub use caller::Caller;
pub use cookie::Cookies;
pub use gate::{Gate, check, identify_again};
pub use mode::Mode;
pub use people::People;
