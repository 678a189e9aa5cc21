//! Extends the leases that are still held and cancels the lost ones.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::RedisError;

use super::{core::Core, lease::LeaseState};
use crate::{
    redis::connect::{Backoff, Cause, told},
    scripts::MAX_BATCH,
};

/// A renewal also tells which jobs are to be cancelled: within a second, should
/// the connection that listens for it be lost.
const TELLS: Duration = Duration::from_millis(900);

/// Renews every third of a lease, or more often, until the worker has ended.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep((core.options.lease / 3).min(TELLS)) => {}
            () = core.renew.notified() => {}
        }
        // The leases are looked up anew for each try: one that is kept over a
        // wait would not be handed back, nor free its place, until Redis is back.
        while let Err(error) = renew_all(&core).await {
            if core.outages.renewals.begins(Cause::of(&error)) {
                let why = told(&error);
                tracing::warn!(queue = %core.options.queue, %why, "leases not renewed yet");
            }
            backoff.wait().await;
        }
        if core.outages.renewals.ends() {
            tracing::info!(queue = %core.options.queue, "renewing leases works again");
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

/// One renewal of at most 128 leases.
pub(super) async fn renew(core: &Arc<Core>, leases: &[Arc<LeaseState>]) -> Result<(), RedisError> {
    let asked = Instant::now();
    let named = leases.iter().map(|lease| (&lease.job.id, lease.token));
    let renewed = core.renewals.renew(&core.worker, core.options.lease, named).await?;
    for lease in leases {
        let is = |ids: &[String]| ids.iter().any(|id| id == lease.job.id.as_str());
        if is(&renewed.lost) {
            // An attempt that has just ended is no longer running either; its
            // own write settles it, and losing it here changes nothing.
            tracing::debug!(job = %lease.job.id, token = lease.token, "lease lost");
            lease.lose();
        } else {
            lease.extend(asked);
            if is(&renewed.cancelled) {
                lease.cancelled.cancel();
            }
        }
    }
    Ok(())
}
