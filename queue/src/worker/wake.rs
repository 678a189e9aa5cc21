//! Listens for work while the worker is idle, and for jobs that are cancelled.

use std::sync::Arc;

use futures::StreamExt;

use super::core::Core;
use crate::connect::Backoff;

/// Listens until the worker ends. Without the connection the worker still
/// looks at every poll interval; only the latency suffers.
pub(super) async fn run(core: Arc<Core>) {
    let mut backoff = Backoff::default();
    let (wake, cancels) = (core.claims.keys().wake(), core.claims.keys().cancels());
    loop {
        match core.connector.listen().await {
            Ok(mut listener) => {
                if listener.subscribe(&[&wake, &cancels]).await.is_ok() {
                    backoff.reset();
                    // Whatever was said before we listened.
                    core.wake.notify_one();
                    core.renew.notify_one();
                    let mut messages = listener.into_on_message();
                    while let Some(message) = messages.next().await {
                        if message.get_channel_name() == cancels {
                            core.cancel(&message.get_payload::<String>().unwrap_or_default());
                        } else {
                            core.wake.notify_one();
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(queue = %core.options.queue, %error, "not listening yet"),
        }
        backoff.wait().await;
    }
}
