//! End to end: real RabbitMQ, Redis, mail server, and real `upshot` processes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "e2e/access.rs"]
mod access;
#[path = "e2e/blocked.rs"]
mod blocked;
#[path = "e2e/cases.rs"]
mod cases;
#[path = "e2e/configuration.rs"]
mod configuration;
#[path = "e2e/contracts.rs"]
mod contracts;
#[path = "e2e/corrected.rs"]
mod corrected;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/doctor.rs"]
mod doctor;
#[path = "e2e/duplicates.rs"]
mod duplicates;
#[path = "e2e/glyphs.rs"]
mod glyphs;
#[path = "e2e/identity.rs"]
mod identity;
#[path = "e2e/invoices.rs"]
mod invoices;
#[path = "e2e/life.rs"]
mod life;
#[path = "e2e/logs.rs"]
mod logs;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/outage.rs"]
mod outage;
#[path = "e2e/output.rs"]
mod output;
#[path = "e2e/poison.rs"]
mod poison;
#[path = "e2e/quarantine.rs"]
mod quarantine;
#[path = "e2e/readiness.rs"]
mod readiness;
#[path = "e2e/receipts.rs"]
mod receipts;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/rights.rs"]
mod rights;
#[path = "e2e/routes.rs"]
mod routes;
#[path = "e2e/schedules.rs"]
mod schedules;
#[path = "e2e/secrets.rs"]
mod secrets;
#[path = "e2e/signals.rs"]
mod signals;
#[path = "e2e/stop.rs"]
mod stop;
#[path = "e2e/topology.rs"]
mod topology;
#[path = "e2e/undelivered.rs"]
mod undelivered;
#[path = "e2e/up.rs"]
mod up;
