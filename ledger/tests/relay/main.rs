//! The relay, between a real Redis and a real RabbitMQ.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod order;
mod real;
mod stage;
