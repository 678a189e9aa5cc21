//! The bridge alone, between a real RabbitMQ and a real Redis: no executor, no API.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod confirmations;
mod expectations;
mod fixture;
mod flow;
mod quarantine;
