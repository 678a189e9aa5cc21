//! Extends the leases that are still held and cancels the lost ones.

use std::{sync::Arc, time::Duration};

use redis::RedisError;

use super::core::Core;
use crate::{
    redis::connect::{Backoff, Cause, told},
    scripts::MAX_BATCH,
};

/// A renewal also reports cancelled jobs. So a cancellation arrives within a second even if the
/// listening connection is lost.
const TELLS: Duration = Duration::from_millis(900);

/// Renews every third of a lease, or more often, until the worker has ended.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep((core.options.lease / 3).min(TELLS)) => {}
            () = core.renew.notified() => {}
        }
        // Each attempt reads the leases again. A lease held across a wait would not be handed back,
        // nor free its slot, until Redis is back.
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
    for batch in core.leases.all().chunks(MAX_BATCH) {
        core.leases.renew(batch).await?;
    }
    Ok(())
}
