//! Tells the queue that this worker is there, apart from its claims.
//!
//! A worker tells every lease, or every three seconds if a lease is longer. It counts as there for
//! three leases. When its stop begins, it takes itself out. A worker that is killed is forgotten
//! after its three leases, by the next call of another worker.

use std::{sync::Arc, time::Duration};

use super::core::Core;
use crate::{
    client::workers::Facts,
    redis::clock::delay_ms,
    scripts::{self, Call},
};

/// The longest time between two calls.
const LONGEST: Duration = Duration::from_secs(3);
/// For how many leases a worker counts as there.
const LEASES: u32 = 3;
/// How long a call may take. A stop waits for one that is under way, and for the last one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells of the worker until its stop begins, as soon as it may claim.
pub(super) async fn run(core: Arc<Core>) {
    tokio::select! {
        () = core.configured.cancelled() => {}
        () = core.stop.cancelled() => return,
    }
    let lasts = core.options.lease.saturating_mul(LEASES);
    let facts = Facts::new(&core.options, lasts).stored();
    let every = core.options.lease.min(LONGEST);
    while !core.stop.is_cancelled() {
        // Not in the `select`: a call that is under way must not come after the last one.
        if !call(&core, delay_ms(lasts), &facts).await {
            tracing::debug!(queue = %core.options.queue, "the queue was not told of the worker");
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = core.stop.cancelled() => {}
        }
    }
    if !call(&core, 0, "").await {
        tracing::debug!(queue = %core.options.queue, "the worker was not taken out; it is forgotten soon");
    }
}

/// Tells of the worker. Returns whether Redis answered; the next call makes up for it.
async fn call(core: &Core, lasts: u64, facts: &str) -> bool {
    let client = &core.renewals.client;
    let mut call = Call::new(&scripts::WORKER, &client.keys);
    call.arg(core.worker()).arg(lasts).arg(facts);
    let told = tokio::time::timeout(PATIENCE, call.run::<u64>(&mut client.conn.clone())).await;
    matches!(told, Ok(Ok(_)))
}
