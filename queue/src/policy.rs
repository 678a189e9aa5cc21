//! Pure decisions about failures, order and limits.

pub mod account;
pub mod configuration;
pub mod failure;
pub mod fingerprint;
pub mod histogram;
pub mod kinds;
pub mod limit;
pub mod operation;
pub(crate) mod pace;
pub mod priority;
pub mod retry;
