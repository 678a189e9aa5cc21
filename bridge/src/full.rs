//! Deliveries whose queue has no room for their confirmations.
//!
//! They never hold up the intake: the confirmations of an event move to the queue `upshot.confirmations`,
//! and then the event is acknowledged. A delivery from `upshot.confirmations` waits here, unacknowledged,
//! and is tried again. When half of what the session may take waits, what was tried again in vain goes
//! back to the end of the queue. So a confirmation for a queue with room always gets its turn. What has
//! waited for minutes goes back, too, because RabbitMQ ends a consumer that keeps a delivery for long.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lapin::{BasicProperties, options::BasicAckOptions};
use tokio::{sync::Semaphore, task::JoinSet};
use upshot_queue::{QueueName, connect::Backoff};
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
/// How long a delivery may wait here. RabbitMQ's `consumer_timeout` is half an hour unless it is set.
const LONGEST: Duration = Duration::from_secs(300);
/// The part of the health that says whether `upshot.confirmations` takes what finds no room.
const PART: &str = "moving_confirmations";

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
    /// How many may wait here; `None` for events, which do not wait.
    most: Option<usize>,
    publishing: Arc<Semaphore>,
}

impl Full {
    pub(crate) fn new(bridge: &Bridge, reading: &Reading, waiting: Waiting) -> Self {
        // RabbitMQ delivers again what an earlier session could not hand over, here or to another bridge.
        bridge.health.up(confirm::PART);
        bridge.health.up(PART);
        let most = match reading {
            Reading::Events(_) => None,
            Reading::Confirmations { .. } => Some(usize::from(bridge.settings.bridge.prefetch / 2)),
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
        let queues = confirmations.iter().map(|proof| proof.queue.clone()).collect();
        let waits = one.bridge.full.enter(queues, &one.bridge.health);
        one.here.fetch_add(1, Ordering::AcqRel);
        let trying = async move {
            one.hand_over(confirmations).await;
            one.here.fetch_sub(1, Ordering::AcqRel);
            drop(waits);
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
    async fn hand_over(&self, confirmations: Vec<Proof>) {
        let Some(most) = self.most else { return self.publish(confirmations).await };
        let (mut left, since) = (confirmations, Instant::now());
        let (mut backoff, mut tries) = (Backoff::default(), 0);
        while !left.is_empty() {
            backoff.wait().await;
            let mut done = Confirmed::default();
            let tried = left.drain(..).map(|each| (0, each)).collect();
            let unanswered = confirm::once(&self.bridge, tried, &mut done).await;
            let is_answered = unanswered.is_empty();
            left.extend(unanswered.into_iter().map(|(_, each)| each));
            left.extend(done.full.into_values().flatten());
            tries += 1;
            // While Redis is away, other confirmations wait as well.
            let is_crowded = self.here.load(Ordering::Acquire) > most;
            if is_answered && (is_crowded && tries >= TRIES || since.elapsed() > LONGEST) {
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
                self.bridge.health.down(PART, format!("{error}; {remedy}"));
                backoff.wait().await;
            }
            self.bridge.health.up(PART);
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

/// How many deliveries of the process wait for each queue. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowds(Arc<Mutex<BTreeMap<QueueName, usize>>>);

/// A delivery that waits, for as long as it lives.
struct Waits {
    crowds: Crowds,
    queues: Vec<QueueName>,
    health: Health,
}

impl Crowds {
    fn enter(&self, queues: Vec<QueueName>, health: &Health) -> Waits {
        self.change(health, |all| {
            queues.iter().for_each(|queue| *all.entry(queue.clone()).or_default() += 1);
        });
        Waits { crowds: self.clone(), queues, health: health.clone() }
    }

    /// Changes the counts, and says which queues have no room.
    fn change(&self, health: &Health, change: impl FnOnce(&mut BTreeMap<QueueName, usize>)) {
        // The warning changes under the lock, so that it is that of the last change.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        all.retain(|_, count| *count > 0);
        if all.is_empty() {
            return health.clear_warning(WARNING);
        }
        let names: Vec<String> = all.keys().map(|queue| format!("`{queue}`")).collect();
        health.warn(
            WARNING,
            &format!(
                "no room for signals in {}: their confirmations wait in RabbitMQ, all else continues. Lower \
                 `keep_signals` there, or withdraw signals that no job waits for",
                names.join(", ")
            ),
        );
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let queues = std::mem::take(&mut self.queues);
        self.crowds.change(&self.health, |all| {
            for queue in &queues {
                if let Some(count) = all.get_mut(queue) {
                    *count = count.saturating_sub(1);
                }
            }
        });
    }
}
