//! Pure decisions: what follows from a failure, who goes first, what holds jobs back.

pub mod configuration;
pub mod failure;
pub mod fingerprint;
pub mod kinds;
pub mod limit;
pub(crate) mod pace;
pub mod priority;
pub mod retry;
