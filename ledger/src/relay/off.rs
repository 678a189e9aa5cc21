//! Where receipts are switched off: drops the relay's group, so that no entry is kept for it.

use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, Error, Operator, QueueName, connect::Backoff};

use super::{GROUP, Relay};

/// Drops the group of each queue, as soon as Redis answers. Returns once that is done, or after a
/// stop.
pub(super) async fn drop_groups(relay: &Relay, stop: &CancellationToken) {
    for queue in &relay.queues {
        let mut backoff = Backoff::default();
        loop {
            match drop_group(relay, queue).await {
                Ok(was_there) => {
                    if was_there {
                        tracing::info!(%queue, group = GROUP, "receipts are off: the group of the outbox is dropped");
                    }
                    break;
                }
                Err(error) => tracing::debug!(%queue, %error, "the group is not dropped yet"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }
}

async fn drop_group(relay: &Relay, queue: &QueueName) -> Result<bool, Error> {
    let client = Client::new(&relay.connector, queue.clone())?;
    Operator::new(client).drop_outbox_group(GROUP).await
}
