//! Listens for work while the worker is idle, for cancelled jobs, and for a new configuration.

use std::{convert::Infallible, sync::Arc};

use redis::RedisResult;

use super::core::Core;
use crate::redis::connect::{Backoff, Heard};

/// Listens until the worker ends. Without the connection the worker still claims at every poll
/// interval, with more latency.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    loop {
        let Err(error) = follow(&core, &mut backoff).await;
        tracing::debug!(queue = %core.options.queue, %error, "not listening");
        backoff.wait().await;
    }
}

/// Follows one connection until it is lost.
async fn follow(core: &Core, backoff: &mut Backoff) -> RedisResult<Infallible> {
    let keys = core.claims.client.keys();
    let (wake, cancels, configured) = (keys.wake(), keys.cancels(), keys.configured());
    let mut listener = core.connector.listen().await?;
    listener.subscribe(&[&wake, &cancels, &configured]).await?;
    backoff.reset();
    // Messages from before the subscription may be lost.
    core.wake.notify_one();
    core.renew.notify_one();
    core.reconfigure.notify_one();
    loop {
        match listener.next().await? {
            Heard::Message(message) if message.get_channel_name() == cancels => {
                core.leases.cancel(&message.get_payload::<String>().unwrap_or_default());
            }
            Heard::Message(message) if message.get_channel_name() == configured => {
                core.reconfigure.notify_one();
            }
            Heard::Message(_) => core.wake.notify_one(),
            // A lost message costs a poll and a renewal at most, which come sooner than this.
            Heard::Checked => {}
        }
    }
}
