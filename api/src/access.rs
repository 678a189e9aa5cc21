//! Who may do what: which principal sends a request, and whether it may.
//!
//! | module | its one thing |
//! |---|---|
//! | [`mode`] | whether the API asks for authentication |
//! | [`table`] | the right that each operation needs, from the OpenAPI document |
//! | [`gate`] | finds the principal of a request, and refuses what it may not do |
//! | [`acts`] | the audit log |
//! | [`caller`] | the principal, for handlers |
//! | [`cursor`] | where a list continues, for principals that see a part of it |

pub mod acts;
pub mod caller;
pub mod cursor;
pub mod gate;
pub mod mode;
pub mod table;

pub use acts::Act;
pub use caller::Caller;
pub use gate::{Gate, check};
pub use mode::Mode;
