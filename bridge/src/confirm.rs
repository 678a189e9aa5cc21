//! Hands confirmations to queues, and waits while Redis is away.
//!
//! A queue keeps a bounded number of bytes of early confirmations. What becomes of a delivery whose queue
//! has no room is in [`full`](crate::full).

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use upshot_queue::{BadSignal, Error, Kept, connect::Backoff};
use upshot_runtime::health;
use upshot_shared::{Proof, Reason, Rejection};

use crate::{Bridge, batch::Refused};

/// The part of the health that says whether Redis takes the confirmations in hand.
pub(crate) const PART: &str = "confirming";
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
    for proof in done.full.values().flatten() {
        count(proof, "full");
    }
    Ok(done)
}

/// Tries each confirmation once. Returns those that Redis did not take.
pub(crate) async fn once(
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
        Err(_) => return sent.map(drop),
    };
    count(proof, result);
    sent.map(drop)
}

fn count(Proof { queue, .. }: &Proof, result: &'static str) {
    let queue = queue.to_string();
    metrics::counter!("upshot_bridge_confirmations_total", "queue" => queue, "result" => result).increment(1);
}
