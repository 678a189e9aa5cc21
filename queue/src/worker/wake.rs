//! Listens for work while the worker is idle.

use std::sync::Arc;

use futures::StreamExt;

use super::core::Core;
use crate::connect::Backoff;

/// Listens until the worker ends. Without the connection the worker still
/// looks at every poll interval; only the latency suffers.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    let channel = core.claims.keys().wake();
    loop {
        match core.connector.listen().await {
            Ok(mut listener) => {
                if listener.subscribe(&channel).await.is_ok() {
                    backoff.reset();
                    // Whatever was said before we listened.
                    core.wake.notify_one();
                    let mut messages = listener.into_on_message();
                    while messages.next().await.is_some() {
                        core.wake.notify_one();
                    }
                }
            }
            Err(error) => tracing::debug!(queue = %core.options.queue, %error, "not listening yet"),
        }
        backoff.wait().await;
    }
}
