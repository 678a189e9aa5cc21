//! What could not be accepted, kept with the reason and the exact place.
//!
//! Bad deliveries wait here, unacknowledged, until RabbitMQ has confirmed their copies. Good
//! ones do not wait for them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
use upshot_shared::{
    Health,
    amqp::{self, Budget, PublishError, Publisher},
};

use crate::batch::{Arrived, Refused};

/// Headers of a producer that are larger than this are left out: together with
/// ours they have to fit into one AMQP frame (128 KiB), or the broker closes
/// the connection.
const MOST_HEADERS: usize = 32 << 10;
/// Copies that are under way at the same time.
const UNDER_WAY: usize = 16;
/// The part of the health that says whether quarantine takes what it is given.
const PART: &str = "quarantine";

/// The bad deliveries of one session.
pub(crate) struct Quarantine {
    given: mpsc::UnboundedSender<(Arrived, Refused)>,
    waiting: Waiting,
    _publishing: AbortOnDropHandle<()>,
}

/// The delivery tags of those that are not acknowledged yet.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<BTreeSet<u64>>>);

impl Waiting {
    fn tags(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quarantine {
    /// Starts to publish what it will be given.
    pub(crate) fn open(publisher: Publisher, budget: Arc<Budget>, health: Health) -> Self {
        let (given, taken) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let publishing = tokio::spawn(publish_all(publisher, budget, health, taken, waiting.clone()));
        Self { given, waiting, _publishing: AbortOnDropHandle::new(publishing) }
    }

    /// Keeps a bad delivery. It is acknowledged once its copy is in quarantine.
    pub(crate) fn keep(&self, arrived: Arrived, refused: Refused) {
        let rejection = &refused.rejection;
        tracing::warn!(
            reason = %rejection.reason,
            place = %rejection.place,
            detail = %rejection.detail,
            routing_key = %arrived.routing_key,
            "event quarantined"
        );
        self.waiting.tags().insert(arrived.tag);
        // The receiver lives as long as this does.
        let _ = self.given.send((arrived, refused));
    }

    /// The lowest delivery tag that must not be acknowledged yet.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.waiting.tags().first().copied()
    }
}

async fn publish_all(
    publisher: Publisher,
    budget: Arc<Budget>,
    health: Health,
    taken: mpsc::UnboundedReceiver<(Arrived, Refused)>,
    waiting: Waiting,
) {
    let taken = stream::unfold(taken, async |mut taken| taken.recv().await.map(|one| (one, taken)));
    taken
        .for_each_concurrent(UNDER_WAY, async |(arrived, refused)| {
            let mut backoff = Backoff::default();
            while let Err(error) = publish(&publisher, &arrived, &refused).await {
                let remedy = "bad events wait unacknowledged, good ones go on";
                health.down(PART, format!("{error}; {remedy}"));
                backoff.wait().await;
            }
            health.up(PART);
            // Where the connection is gone it comes again, and so does its copy.
            let _ = arrived.acker.ack(BasicAckOptions::default()).await;
            waiting.tags().remove(&arrived.tag);
            budget.release(arrived.body.len() as u64);
        })
        .await;
}

async fn publish(publisher: &Publisher, arrived: &Arrived, refused: &Refused) -> Result<(), PublishError> {
    publisher.publish(amqp::QUARANTINE, "", &arrived.body, properties(arrived, refused), true).await?;
    let reason = refused.rejection.reason.as_str();
    metrics::counter!("upshot_bridge_quarantined_total", "reason" => reason).increment(1);
    Ok(())
}

/// What describes the message, and our headers beside its own. Properties that
/// tell the broker to do something are not repeated: a `user_id` other than
/// ours is refused with the whole channel, an `expiration` would let the
/// evidence vanish.
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
    if let Some(value) = from.reply_to() {
        properties = properties.with_reply_to(value.clone());
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
    let mut headers = from.headers().clone().unwrap_or_default();
    let add = |headers: &mut FieldTable, name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if format!("{headers:?}").len() > MOST_HEADERS {
        headers = FieldTable::default();
        add(&mut headers, amqp::HEADER_DROPPED, "the producer's headers were larger than 32 KiB");
    }
    if let Some(user) = from.user_id() {
        add(&mut headers, amqp::HEADER_USER, user.as_str());
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
