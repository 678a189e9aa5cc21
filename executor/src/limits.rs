//! Limits of the settings, set when an executor starts.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upshot_queue::{Limit, LimitKey, Operator, connect::Outage};

/// How long to wait before another try.
const WAIT: Duration = Duration::from_secs(1);

/// Limits of one queue.
pub type OfQueue = (Operator, Vec<(LimitKey, Limit)>);

/// Sets all limits, however long Redis is away, or until `stop` fires. Nothing is claimed before: a
/// late limit has no effect on those jobs.
pub async fn set(queues: &[OfQueue], stop: &CancellationToken) {
    let outage = Outage::default();
    for (queue, limits) in queues {
        for (key, limit) in limits {
            while let Err(error) = queue.set_limit(key, *limit).await {
                if outage.begins(error.cause()) {
                    tracing::warn!(queue = %queue.client().name(), %key, %error, "a limit cannot be set yet");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(WAIT) => {}
                }
            }
            outage.ends();
            tracing::info!(queue = %queue.client().name(), %key, ?limit, "limited");
        }
    }
}
