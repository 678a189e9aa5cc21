//! Pure decisions: what follows from a failure, who goes first, what holds jobs back.

pub mod failure;
pub mod fingerprint;
pub mod limit;
pub mod priority;
pub mod retry;
