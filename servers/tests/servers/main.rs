//! The private servers against the real programs.
//!
//! One binary, so that the client libraries are linked once.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod mail;
mod orphans;
mod proxy;
mod rabbit;
mod redis;
mod redis_access;
mod redis_cluster;
mod redis_sentinels;
