//! What every queue must do, against a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "conformance/enqueue.rs"]
mod enqueue;
#[path = "conformance/failover.rs"]
mod failover;
#[path = "conformance/failures.rs"]
mod failures;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/fencing.rs"]
mod fencing;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/lists.rs"]
mod lists;
#[path = "conformance/work.rs"]
mod work;
