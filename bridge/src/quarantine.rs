//! Puts messages that cannot be accepted into quarantine, with the reason and the exact place.
//!
//! | module | its one thing |
//! |---|---|
//! | [`copy`] | the properties of a quarantined copy |
//! | [`rows`] | the row in the ledger's list |
//!
//! Bad deliveries wait here, unacknowledged, until RabbitMQ has confirmed their copies and Redis has
//! their rows. Good deliveries do not wait for them.

mod copy;
mod rows;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{StreamExt, stream};
use lapin::{BasicProperties, options::BasicAckOptions};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use upshot_ledger::quarantine::MessageId;
use upshot_queue::connect::Backoff;
use upshot_runtime::{
    Health,
    amqp::{self, Budget, PublishError, Publisher},
};
use upshot_shared::Reason;

pub(crate) use rows::Rows;

use crate::{
    batch::{Arrived, Refused},
    waiting::Waiting,
};

/// Bytes of waiting bad events that do not count against the room for good ones.
const KEPT_BYTES: u64 = 64 << 20;
/// Copies in flight at the same time.
const UNDER_WAY: usize = 16;
/// The part of the health that says whether quarantine accepts messages.
const PART: &str = "quarantine";

/// The bad deliveries of one session.
pub(crate) struct Quarantine {
    given: mpsc::UnboundedSender<Kept>,
    waiting: Waiting,
    budget: Arc<Budget>,
    kept: Arc<AtomicU64>,
    _publishing: AbortOnDropHandle<()>,
}

/// A bad delivery.
struct Kept {
    arrived: Arrived,
    refused: Refused,
    /// Whether other messages got its room back.
    is_released: bool,
}

impl Quarantine {
    /// Starts the task that publishes bad deliveries.
    pub(crate) fn open(
        publisher: Publisher,
        rows: Rows,
        budget: Arc<Budget>,
        health: Health,
        waiting: Waiting,
    ) -> Self {
        // RabbitMQ delivers again what an earlier session could not publish, here or to another
        // bridge.
        health.up(PART);
        let (given, taken) = mpsc::unbounded_channel();
        let kept = Arc::new(AtomicU64::new(0));
        let publishing = Publishing {
            publisher,
            rows,
            health,
            budget: Arc::clone(&budget),
            waiting: waiting.clone(),
            kept: Arc::clone(&kept),
        };
        let publishing = AbortOnDropHandle::new(tokio::spawn(publishing.run(taken)));
        Self { given, waiting, budget, kept, _publishing: publishing }
    }

    /// Takes a bad delivery, and acknowledges it once its copy is in quarantine and its row in
    /// Redis.
    pub(crate) fn keep(&self, arrived: Arrived, refused: Refused) {
        let rejection = &refused.rejection;
        // Without the detail, which quotes the producer and may be personal.
        tracing::warn!(reason = %rejection.reason, place = %rejection.place, "event quarantined");
        self.waiting.add(arrived.tag);
        let bytes = arrived.body.len() as u64;
        let is_released = self.kept.load(Ordering::Relaxed) + bytes <= KEPT_BYTES;
        if is_released {
            self.kept.fetch_add(bytes, Ordering::Relaxed);
            self.budget.release(bytes);
        }
        // The receiver lives as long as this does.
        let _ = self.given.send(Kept { arrived, refused, is_released });
    }
}

/// Publishes the bad deliveries.
struct Publishing {
    publisher: Publisher,
    rows: Rows,
    health: Health,
    budget: Arc<Budget>,
    waiting: Waiting,
    kept: Arc<AtomicU64>,
}

impl Publishing {
    async fn run(self, taken: mpsc::UnboundedReceiver<Kept>) {
        let taken = stream::unfold(taken, async |mut taken| taken.recv().await.map(|one| (one, taken)));
        taken.for_each_concurrent(UNDER_WAY, |kept| self.publish_one(kept)).await;
    }

    async fn publish_one(&self, Kept { arrived, refused, is_released }: Kept) {
        let id = MessageId::of(&arrived.routing_key, &arrived.properties, &arrived.body);
        let properties = copy::properties(&arrived, &refused, &id);
        let reason = refused.rejection.reason;
        let mut backoff = Backoff::default();
        while let Err(error) = publish(&self.publisher, &arrived, properties.clone(), reason).await {
            let remedy = "bad events wait unacknowledged, good ones continue";
            self.health.down(PART, format!("{error}; {remedy}"));
            backoff.wait().await;
        }
        self.rows.record(&id, &arrived, &refused, &self.health).await;
        self.health.up(PART);
        // If the connection is gone, the delivery comes again, and so does its copy.
        let _ = arrived.acker.ack(BasicAckOptions::default()).await;
        self.waiting.remove(arrived.tag);
        let bytes = arrived.body.len() as u64;
        if is_released {
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
        } else {
            self.budget.release(bytes);
        }
    }
}

async fn publish(
    publisher: &Publisher,
    arrived: &Arrived,
    properties: BasicProperties,
    reason: Reason,
) -> Result<(), PublishError> {
    publisher.publish(amqp::QUARANTINE, "", &arrived.body, properties, true).await?;
    metrics::counter!("upshot_bridge_quarantined_total", "reason" => reason.as_str()).increment(1);
    Ok(())
}
