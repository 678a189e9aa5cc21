//! Hands confirmations to queues, and waits while Redis is away.
//!
//! A queue keeps a bounded number of bytes of early confirmations. A delivery whose queue has no room
//! waits alone and unacknowledged ([`Full`]); the other deliveries continue.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt, stream};
use lapin::options::BasicAckOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upshot_queue::{BadSignal, Error, Kept, connect::Backoff};
use upshot_runtime::{Health, health};
use upshot_shared::{Proof, Reason, Rejection};

use crate::{
    Bridge,
    batch::{Arrived, Refused},
    waiting::Waiting,
};

/// The part of the health that says whether Redis takes the confirmations in hand.
const PART: &str = "confirming";
/// The warning that a queue has no room for confirmations.
const FULL: &str = "confirmations_full";
/// Confirmations under way at the same time.
const UNDER_WAY: usize = 64;

/// What became of the confirmations of a batch, besides those that Redis holds.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// Deliveries that cannot be accepted, by position in the batch.
    pub(crate) refused: BTreeMap<usize, Refused>,
    /// Deliveries whose queue has no room, with what is left of their confirmations.
    pub(crate) full: BTreeMap<usize, Vec<Proof>>,
}

/// Hands confirmations to their queues. Each has the position of its delivery in the batch. Returns
/// when Redis holds every confirmation for which its queue has room.
///
/// While Redis is away, the call repeats for as long as the connection to RabbitMQ is alive. After
/// that RabbitMQ delivers them again anyway.
pub(crate) async fn confirm(
    bridge: &Bridge,
    mut left: Vec<(usize, Proof)>,
    alive: impl Fn() -> bool,
    stop: &CancellationToken,
) -> Result<Confirmed, String> {
    let (mut done, mut backoff) = (Confirmed::default(), Backoff::default());
    while !left.is_empty() {
        left = once(bridge, left, &mut done).await;
        if left.is_empty() {
            break;
        }
        if !alive() {
            return Err("the connection was lost while Redis was away".to_owned());
        }
        tokio::select! {
            () = stop.cancelled() => return Err("stopped while Redis was away".to_owned()),
            () = backoff.wait() => {}
        }
    }
    Ok(done)
}

/// Tries each confirmation once. Returns those that Redis did not take.
async fn once(
    bridge: &Bridge,
    confirmations: Vec<(usize, Proof)>,
    done: &mut Confirmed,
) -> Vec<(usize, Proof)> {
    // Redis gets nothing that it would keep less safely than `redis.durability` demands.
    if bridge.health.why_missing(health::DURABILITY).is_some() {
        return confirmations;
    }
    let sent = stream::iter(confirmations)
        .map(async |(of, confirmation)| (of, send(bridge, &confirmation).await, confirmation))
        .buffer_unordered(UNDER_WAY)
        .collect::<Vec<_>>()
        .await;
    let (mut left, mut took) = (Vec::new(), false);
    for (of, sent, confirmation) in sent {
        match sent {
            Ok(()) => took = true,
            Err(Error::Signal(BadSignal::Full(_))) => {
                took = true;
                done.full.entry(of).or_default().push(confirmation);
            }
            Err(Error::Signal(why @ BadSignal::TooLarge(_))) => {
                drop(done.refused.insert(of, Rejection::new(Reason::Oversize, "", why.to_string()).into()));
            }
            Err(error) => {
                match &error {
                    Error::Redis(error) => bridge.health.down_by_redis(PART, error),
                    other => bridge.health.down(PART, other),
                }
                left.push((of, confirmation));
            }
        }
    }
    if took && left.is_empty() {
        bridge.health.up(PART);
    }
    left
}

async fn send(bridge: &Bridge, proof: &Proof) -> Result<(), Error> {
    let Proof { queue: name, condition, payload } = proof;
    // Every queue of the settings has a client; see `Bridge::new`. The intake refuses others.
    let Some(queue) = bridge.queues.get(name) else { return Ok(()) };
    let sent = queue.confirm(condition, payload).await;
    upshot_queue::crash_point();
    let result = match &sent {
        Ok(signalled) => match signalled.kept {
            Kept::Stored => "stored",
            Kept::Known => "known",
            Kept::Contradicts { .. } => "contradicts",
        },
        Err(Error::Signal(BadSignal::Full(_))) => "full",
        Err(_) => return sent.map(drop),
    };
    let name = name.to_string();
    metrics::counter!("upshot_bridge_confirmations_total", "queue" => name, "result" => result).increment(1);
    sent.map(drop)
}

/// The deliveries of a session that wait until their queue has room for their confirmations.
pub(crate) struct Full {
    bridge: Bridge,
    waiting: Waiting,
    /// How many wait in this process, over all sessions.
    count: Arc<AtomicUsize>,
    trying: Mutex<JoinSet<()>>,
}

impl Full {
    pub(crate) fn new(bridge: &Bridge, waiting: Waiting) -> Self {
        let count = Arc::clone(&bridge.full);
        Self { bridge: bridge.clone(), waiting, count, trying: Mutex::default() }
    }

    /// Takes a delivery, and acknowledges it once Redis holds all of its confirmations.
    pub(crate) fn keep(&self, arrived: Arrived, confirmations: Vec<Proof>) {
        let Arrived { tag, acker, .. } = arrived;
        self.waiting.add(tag);
        let (bridge, waiting) = (self.bridge.clone(), self.waiting.clone());
        let counted = Counted::new(&self.count, &self.bridge.health);
        let trying = async move {
            let mut left: Vec<_> = confirmations.into_iter().map(|each| (0, each)).collect();
            let mut backoff = Backoff::default();
            while !left.is_empty() {
                if let Some((_, Proof { queue, .. })) = left.first() {
                    counted.warn(&format!(
                        "queue `{queue}` has no room for signals: confirmations wait unacknowledged, others \
                         continue. Lower its `keep_signals`, or withdraw signals that no job waits for"
                    ));
                }
                backoff.wait().await;
                let mut done = Confirmed::default();
                left = once(&bridge, left, &mut done).await;
                left.extend(done.full.into_values().flatten().map(|each| (0, each)));
            }
            drop(counted);
            // If the connection is gone, the delivery comes again.
            let _ = acker.ack(BasicAckOptions::default()).await;
            waiting.remove(tag);
        };
        let mut all = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        while all.try_join_next().is_some() {}
        all.spawn(trying);
    }
}

/// Counts a waiting delivery for as long as it lives. The last one ends the warning.
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
        self.health.warn(FULL, why);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.health.clear_warning(FULL);
        }
    }
}
