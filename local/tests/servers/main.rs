//! The private servers against the real programs.
//!
//! One binary, so that the client libraries are linked once.

mod mail;
mod orphans;
mod proxy;
mod rabbit;
mod redis;
