//! Puts messages that cannot be accepted into quarantine, with the reason and the exact place.
//!
//! Bad deliveries wait here, unacknowledged, until RabbitMQ has confirmed their copies. Good
//! deliveries do not wait for them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt, stream};
use lapin::{
    BasicProperties,
    options::BasicAckOptions,
    types::{AMQPValue, FieldTable},
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use upshot_queue::connect::Backoff;
use upshot_runtime::{
    Health,
    amqp::{self, Budget, PublishError, Publisher},
};

use crate::batch::{Arrived, Refused};

/// The copy leaves out a producer's headers that are larger than this. Together with Upshot's
/// headers they must fit into one AMQP frame (128 KiB), or the broker closes the connection.
const MOST_HEADERS: usize = 32 << 10;
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

/// The delivery tags that are not acknowledged yet.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<BTreeSet<u64>>>);

impl Waiting {
    fn tags(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quarantine {
    /// Starts the task that publishes bad deliveries.
    pub(crate) fn open(publisher: Publisher, budget: Arc<Budget>, health: Health) -> Self {
        // RabbitMQ delivers again what an earlier session could not publish, here or to another
        // bridge.
        health.up(PART);
        let (given, taken) = mpsc::unbounded_channel();
        let (waiting, kept) = (Waiting::default(), Arc::new(AtomicU64::new(0)));
        let publishing = Publishing {
            publisher,
            health,
            budget: Arc::clone(&budget),
            waiting: waiting.clone(),
            kept: Arc::clone(&kept),
        };
        let publishing = AbortOnDropHandle::new(tokio::spawn(publishing.run(taken)));
        Self { given, waiting, budget, kept, _publishing: publishing }
    }

    /// Takes a bad delivery, and acknowledges it once its copy is in quarantine.
    pub(crate) fn keep(&self, arrived: Arrived, refused: Refused) {
        let rejection = &refused.rejection;
        // Without the detail, which quotes the producer and may be personal.
        tracing::warn!(reason = %rejection.reason, place = %rejection.place, "event quarantined");
        self.waiting.tags().insert(arrived.tag);
        let bytes = arrived.body.len() as u64;
        let is_released = self.kept.load(Ordering::Relaxed) + bytes <= KEPT_BYTES;
        if is_released {
            self.kept.fetch_add(bytes, Ordering::Relaxed);
            self.budget.release(bytes);
        }
        // The receiver lives as long as this does.
        let _ = self.given.send(Kept { arrived, refused, is_released });
    }

    /// The lowest delivery tag that must not be acknowledged yet.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.waiting.tags().first().copied()
    }
}

/// Publishes the bad deliveries.
struct Publishing {
    publisher: Publisher,
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
        let mut backoff = Backoff::default();
        while let Err(error) = publish(&self.publisher, &arrived, &refused).await {
            let remedy = "bad events wait unacknowledged, good ones continue";
            self.health.down(PART, format!("{error}; {remedy}"));
            backoff.wait().await;
        }
        self.health.up(PART);
        // If the connection is gone, the delivery comes again, and so does its copy.
        let _ = arrived.acker.ack(BasicAckOptions::default()).await;
        self.waiting.tags().remove(&arrived.tag);
        let bytes = arrived.body.len() as u64;
        if is_released {
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
        } else {
            self.budget.release(bytes);
        }
    }
}

async fn publish(publisher: &Publisher, arrived: &Arrived, refused: &Refused) -> Result<(), PublishError> {
    publisher.publish(amqp::QUARANTINE, "", &arrived.body, properties(arrived, refused), true).await?;
    let reason = refused.rejection.reason.as_str();
    metrics::counter!("upshot_bridge_quarantined_total", "reason" => reason).increment(1);
    Ok(())
}

/// The properties that describe the message, with Upshot's headers beside its own. The copy leaves
/// out properties that tell the broker to act. RabbitMQ would close the channel for a foreign
/// `user_id` and some forms of `reply_to`. An `expiration` would remove the evidence, and `CC` and
/// `BCC` would send copies elsewhere.
#[expect(clippy::disallowed_methods, reason = "what came as a short string is one")]
fn properties(arrived: &Arrived, refused: &Refused) -> BasicProperties {
    let from = &arrived.properties;
    let mut properties = BasicProperties::default();
    if let Some(value) = from.content_type() {
        properties = properties.with_content_type(value.clone());
    }
    if let Some(value) = from.content_encoding() {
        properties = properties.with_content_encoding(value.clone());
    }
    if let Some(value) = from.priority() {
        properties = properties.with_priority(*value);
    }
    if let Some(value) = from.correlation_id() {
        properties = properties.with_correlation_id(value.clone());
    }
    if let Some(value) = from.message_id() {
        properties = properties.with_message_id(value.clone());
    }
    if let Some(value) = from.timestamp() {
        properties = properties.with_timestamp(*value);
    }
    if let Some(value) = from.kind() {
        properties = properties.with_type(value.clone());
    }
    if let Some(value) = from.app_id() {
        properties = properties.with_app_id(value.clone());
    }
    let mut headers = FieldTable::default();
    for (name, value) in from.headers().iter().flatten() {
        if !["CC", "BCC"].contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let add = |headers: &mut FieldTable, name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if size(&headers) > MOST_HEADERS {
        headers = FieldTable::default();
        add(&mut headers, amqp::HEADER_DROPPED, "the producer's headers were larger than 32 KiB");
    }
    if let Some(user) = from.user_id() {
        add(&mut headers, amqp::HEADER_USER, user.as_str());
    }
    if let Some(to) = from.reply_to() {
        add(&mut headers, amqp::HEADER_REPLY_TO, to.as_str());
    }
    let Refused { rejection, jobs } = refused;
    add(&mut headers, amqp::HEADER_REASON, rejection.reason.as_str());
    add(&mut headers, amqp::HEADER_PLACE, &rejection.place);
    add(&mut headers, amqp::HEADER_DETAIL, &rejection.detail);
    add(&mut headers, amqp::HEADER_ROUTING_KEY, &arrived.routing_key);
    if !jobs.is_empty() {
        let jobs: Vec<String> = jobs.iter().map(|(queue, id)| format!("{queue}/{id}")).collect();
        add(&mut headers, amqp::HEADER_JOBS, &jobs.join(" "));
    }
    properties.with_headers(headers)
}

/// An upper bound for the bytes of a table on the wire.
fn size(table: &FieldTable) -> usize {
    fn of(value: &AMQPValue) -> usize {
        8 + match value {
            AMQPValue::LongString(text) => text.as_bytes().len(),
            AMQPValue::ShortString(text) => text.as_str().len(),
            AMQPValue::ByteArray(bytes) => bytes.as_slice().len(),
            AMQPValue::FieldArray(values) => values.as_slice().iter().map(of).sum(),
            AMQPValue::FieldTable(table) => size(table),
            _ => 8,
        }
    }
    table.into_iter().map(|(name, value)| 1 + name.as_str().len() + of(value)).sum()
}
