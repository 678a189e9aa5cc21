//! Empties and deletes the intake of an earlier version.
//!
//! Nothing can change the arguments of a queue, so events go to a queue with another name. Separate
//! sessions consume the rest of the former queue, so they delay no other event. RabbitMQ deletes a
//! quorum queue even if it is not empty, and counts only waiting messages. So the bridge deletes
//! the former queue after the session has ended. Then unacknowledged messages wait again, and a
//! queue without consumers means that no other bridge has one of them.

use std::time::Duration;

use lapin::{options::QueueDeclareOptions, types::FieldTable};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upshot_queue::connect::Backoff;
use upshot_runtime::amqp::{self, Depth, FORMER_INTAKE, Link};

use crate::{Bridge, session};

/// How often the bridge looks at the former queue.
const LOOK: Duration = Duration::from_secs(2);

/// Empties and deletes the former queue if it is there. Ends once the queue is gone or cannot be
/// changed.
pub(crate) async fn drain(bridge: &Bridge, stop: &CancellationToken) {
    let mut backoff = Backoff::default();
    let mut is_told = false;
    while !stop.is_cancelled() {
        match pass(bridge, stop, &mut is_told).await {
            Ok(true) => return,
            Ok(false) => backoff.reset(),
            Err(error) => {
                // RabbitMQ may be away; the intake's own session says so.
                tracing::debug!(queue = FORMER_INTAKE, %error, "the intake of an earlier version is not looked at");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = backoff.wait() => {}
        }
    }
}

/// Consumes the waiting messages; true once nothing is left to do.
async fn pass(bridge: &Bridge, stop: &CancellationToken, is_told: &mut bool) -> Result<bool, lapin::Error> {
    let link = amqp::connect(&bridge.amqp, "upshot-bridge-former", u64::MAX).await?;
    let Some(depth) = depth(&link).await? else {
        link.close().await;
        return Ok(true);
    };
    if let Err(error) = amqp::unbind_former(&link).await
        && !std::mem::replace(is_told, true)
    {
        tracing::warn!(
            queue = FORMER_INTAKE, %error,
            "the intake of an earlier version cannot be unbound: permit to, or unbind and delete it"
        );
    }
    let is_over = if depth.messages > 0 {
        consume(bridge, &link, stop).await?;
        false
    } else if depth.consumers > 0 {
        // Another bridge has messages from it, or is of the earlier version.
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(LOOK) => {}
        }
        false
    } else {
        match amqp::delete_former(&link).await {
            Ok(()) => {
                tracing::info!(queue = FORMER_INTAKE, "the intake of an earlier version is empty: deleted")
            }
            Err(error) => tracing::warn!(
                queue = FORMER_INTAKE, %error,
                "the intake of an earlier version is empty and cannot be deleted: delete it"
            ),
        }
        true
    };
    link.close().await;
    Ok(is_over)
}

/// Runs a session on the former queue until no message waits.
async fn consume(bridge: &Bridge, link: &Link, stop: &CancellationToken) -> Result<(), lapin::Error> {
    let emptied = stop.child_token();
    let watching = async {
        loop {
            sleep(LOOK).await;
            if depth(link).await?.is_none_or(|depth| depth.messages == 0) {
                emptied.cancel();
                return Ok::<_, lapin::Error>(());
            }
        }
    };
    let session = session::run(bridge, FORMER_INTAKE, &emptied);
    tokio::pin!(session);
    tokio::select! {
        ended = &mut session => {
            if let Err(session::Ended { why, .. }) = ended {
                tracing::warn!(queue = FORMER_INTAKE, %why, "a session ended");
            }
            Ok(())
        }
        watched = watching => {
            watched?;
            // It finishes the batch in hand; the rest waits again.
            let _ = session.await;
            Ok(())
        }
    }
}

/// The waiting messages of the former queue; `None` without that queue.
async fn depth(link: &Link) -> Result<Option<Depth>, lapin::Error> {
    let channel = link.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    match channel.queue_declare(FORMER_INTAKE.into(), passive, FieldTable::default()).await {
        Ok(queue) => Ok(Some(Depth { messages: queue.message_count(), consumers: queue.consumer_count() })),
        Err(error) if link.status().connected() => {
            tracing::debug!(%error, "there is no intake of an earlier version");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
