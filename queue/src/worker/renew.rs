//! Extends the leases that are still held and cancels the lost ones.

use std::{sync::Arc, time::Instant};

use redis::RedisError;

use super::{core::Core, lease::LeaseState};
use crate::{
    connect::Backoff,
    scripts::{self, Call, MAX_BATCH},
};

/// Renews every third of a lease until the worker has ended.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    loop {
        tokio::time::sleep(core.options.lease / 3).await;
        // The leases are looked up anew for each try: one that is kept over a
        // wait would not be handed back, nor free its place, until Redis is back.
        while let Err(error) = renew_all(&core).await {
            tracing::warn!(queue = %core.options.queue, %error, "leases not renewed yet");
            backoff.wait().await;
        }
        backoff.reset();
    }
}

async fn renew_all(core: &Arc<Core>) -> Result<(), RedisError> {
    for batch in core.leases().chunks(MAX_BATCH) {
        renew(core, batch).await?;
    }
    Ok(())
}

/// One renewal of at most 256 leases.
pub(super) async fn renew(core: &Arc<Core>, leases: &[Arc<LeaseState>]) -> Result<(), RedisError> {
    let asked = Instant::now();
    let keys = core.renewals.keys();
    let mut call = Call::new(&scripts::RENEW, &[&keys.running(), &keys.stats()]);
    call.arg(keys.job_prefix()).arg(core.options.lease.as_millis() as u64);
    call.arg(core.worker.as_str()).arg(leases.len());
    for lease in leases {
        call.arg(lease.job.id.as_str()).arg(lease.token);
    }
    let lost: Vec<String> = call.run(&mut core.renewals.conn.clone()).await?;
    for lease in leases {
        if lost.iter().any(|id| id == lease.job.id.as_str()) {
            // An attempt that has just ended is no longer running either; its
            // own write settles it, and losing it here changes nothing.
            tracing::debug!(job = %lease.job.id, token = lease.token, "lease lost");
            lease.lose();
        } else {
            lease.extend(asked);
        }
    }
    Ok(())
}
