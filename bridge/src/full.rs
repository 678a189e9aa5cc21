//! Deliveries whose queue has no room for their confirmations.
//!
//! They never hold up the intake: the confirmations of an event move to the queue `upshot.confirmations`,
//! and then the event is acknowledged. A delivery from `upshot.confirmations` waits here, unacknowledged,
//! and is tried again. When half of what the session may take waits, what was tried again in vain goes
//! back to the end of the queue. So a confirmation for a queue with room always gets its turn.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use lapin::{BasicProperties, options::BasicAckOptions};
use tokio::{sync::Semaphore, task::JoinSet};
use upshot_queue::connect::Backoff;
use upshot_runtime::{
    Health,
    amqp::{CONFIRMATIONS, PublishError},
};
use upshot_shared::Proof;

use crate::{
    Bridge,
    batch::{Arrived, Reading},
    confirm::{self, Confirmed},
    waiting::Waiting,
};

/// The warning that a queue has no room for confirmations.
const WARNING: &str = "confirmations_full";
/// Messages under way at the same time, so that copies for quarantine find room beside them.
const UNDER_WAY: usize = 8;
/// How often a delivery is tried again before it may go back to the end of the queue: for a second and a
/// half, so that a full queue costs little.
const TRIES: u32 = 5;

/// The deliveries of a session whose queue has no room.
pub(crate) struct Full {
    one: One,
    trying: Mutex<JoinSet<()>>,
}

/// What each delivery needs. Clones share everything.
#[derive(Clone)]
struct One {
    bridge: Bridge,
    waiting: Waiting,
    /// Deliveries of this session that wait here.
    here: Arc<AtomicUsize>,
    /// How many may wait here; 0 for events.
    most: usize,
    publishing: Arc<Semaphore>,
}

impl Full {
    pub(crate) fn new(bridge: &Bridge, reading: &Reading, waiting: Waiting) -> Self {
        // RabbitMQ delivers again what an earlier session could not hand over, here or to another bridge.
        bridge.health.up(confirm::PART);
        let most = match reading {
            Reading::Events(_) => 0,
            Reading::Confirmations { .. } => usize::from(bridge.settings.bridge.prefetch / 2),
        };
        let publishing = Arc::new(Semaphore::new(UNDER_WAY));
        let one = One { bridge: bridge.clone(), waiting, here: Arc::default(), most, publishing };
        Self { one, trying: Mutex::default() }
    }

    /// Takes a delivery, and acknowledges it once Redis or `upshot.confirmations` has all of its
    /// confirmations.
    pub(crate) fn keep(&self, arrived: Arrived, confirmations: Vec<Proof>) {
        let Arrived { tag, acker, .. } = arrived;
        self.one.waiting.add(tag);
        let one = self.one.clone();
        let counted = Counted::new(&one.bridge.full, &one.bridge.health);
        one.here.fetch_add(1, Ordering::AcqRel);
        let trying = async move {
            one.hand_over(confirmations, &counted).await;
            one.here.fetch_sub(1, Ordering::AcqRel);
            drop(counted);
            // If the connection is gone, the delivery comes again.
            let _ = acker.ack(BasicAckOptions::default()).await;
            one.waiting.remove(tag);
        };
        let mut all = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        while all.try_join_next().is_some() {}
        all.spawn(trying);
    }
}

impl One {
    async fn hand_over(&self, confirmations: Vec<Proof>, counted: &Counted) {
        let mut left = confirmations;
        let (mut backoff, mut tries) = (Backoff::default(), 0);
        while let Some(Proof { queue, .. }) = left.first() {
            counted.warn(&format!(
                "queue `{queue}` has no room for signals: its confirmations wait in RabbitMQ, all else \
                 continues. Lower its `keep_signals`, or withdraw signals that no job waits for"
            ));
            if self.most == 0 {
                return self.publish(left).await;
            }
            backoff.wait().await;
            let mut done = Confirmed::default();
            let tried = left.drain(..).map(|each| (0, each)).collect();
            let unanswered = confirm::once(&self.bridge, tried, &mut done).await;
            let is_answered = unanswered.is_empty();
            left.extend(unanswered.into_iter().map(|(_, each)| each));
            left.extend(done.full.into_values().flatten());
            tries += 1;
            // While Redis is away, other confirmations wait as well.
            if is_answered && tries >= TRIES && self.here.load(Ordering::Acquire) > self.most {
                return self.publish(left).await;
            }
        }
    }

    /// Puts confirmations at the end of `upshot.confirmations`. What was sent twice changes nothing.
    async fn publish(&self, confirmations: Vec<Proof>) {
        let mut backoff = Backoff::default();
        for proof in confirmations {
            while let Err(error) = self.publish_one(&proof).await {
                let remedy = "confirmations for a full queue wait unacknowledged, others continue";
                self.bridge.health.down(confirm::PART, format!("{error}; {remedy}"));
                backoff.wait().await;
            }
            self.bridge.health.up(confirm::PART);
            upshot_queue::crash_point();
        }
    }

    async fn publish_one(&self, proof: &Proof) -> Result<(), PublishError> {
        // The semaphore is never closed.
        let _slot = self.publishing.acquire().await;
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let message = proof.message();
        let publisher = &self.bridge.quarantine;
        publisher.publish(CONFIRMATIONS, proof.queue.as_str(), message.as_bytes(), properties, true).await
    }
}

/// Counts a waiting delivery of the process for as long as it lives. The last one ends the warning.
struct Counted {
    count: Arc<AtomicUsize>,
    health: Health,
}

impl Counted {
    fn new(count: &Arc<AtomicUsize>, health: &Health) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self { count: Arc::clone(count), health: health.clone() }
    }

    fn warn(&self, why: &str) {
        self.health.warn(WARNING, why);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.health.clear_warning(WARNING);
        }
    }
}
