//! What a connection must do, however the servers are organised, against real ones.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "connections/cluster.rs"]
mod cluster;
#[path = "connections/fixture.rs"]
mod fixture;
#[path = "shared/handles.rs"]
mod handles;
#[path = "connections/migration.rs"]
mod migration;
#[path = "connections/refusals.rs"]
mod refusals;
#[path = "connections/rotation.rs"]
mod rotation;
#[path = "connections/sentinel.rs"]
mod sentinel;
#[path = "connections/single.rs"]
mod single;
#[path = "connections/tls.rs"]
mod tls;
