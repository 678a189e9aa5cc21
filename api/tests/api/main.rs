//! The API against a real Redis and a real RabbitMQ.
//!
//! One binary, so that the client libraries are linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails the test")]

mod accepted;
mod access;
#[cfg(feature = "webhook")]
mod alarms;
mod bulk;
mod configuration;
mod confirmations;
mod dashboard;
mod dead;
mod events;
#[cfg(feature = "files")]
mod files;
mod fixture;
mod foreign;
mod health;
mod jobs;
mod ledger;
mod list;
mod many;
#[cfg(not(feature = "files"))]
mod no_store;
mod openapi;
mod operations;
mod outcomes;
mod people;
mod progress;
mod quarantine;
mod queues;
mod redaction;
mod rejections;
mod schedules;
mod stream;
mod why;
mod worker;
