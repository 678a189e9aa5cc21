//! Checks whether the store takes files, and releases jobs that wait for it.

use std::{collections::HashMap, time::Duration};

use crate::Health;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, Condition, QueueName, Released};

use super::{Store, fault::CONDITION};

/// The part of an executor's readiness.
const PART: &str = "store";
/// The shortest time that a store has to answer.
const LEAST: Duration = Duration::from_secs(10);

/// Watches the store while an executor runs.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    queues: Vec<Client>,
    health: Health,
    every: Duration,
    /// Jobs that waited for the store at the last check, by queue.
    waited: HashMap<QueueName, u64>,
}

impl Watch {
    pub(super) fn new(store: Store, queues: Vec<Client>, health: Health, every: Duration) -> Self {
        health.need(PART);
        Self { store, queues, health, every, waited: HashMap::new() }
    }

    /// Watches until `stop` fires. While the store does not take files, the executor is not ready
    /// and says why.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rounds = interval(self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let round = async {
                rounds.tick().await;
                self.look().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = round => {}
            }
        }
    }

    async fn look(&mut self) {
        let limit = self.every.max(LEAST);
        match timeout(limit, self.store.probe()).await {
            Ok(Ok(())) => {
                self.health.up(PART);
                self.release().await;
            }
            Ok(Err(stop)) => self.health.down(PART, stop.why()),
            Err(_) => {
                let limit = humantime::format_duration(limit);
                self.health.down(PART, format!("the store does not answer within {limit}"));
            }
        }
    }

    async fn release(&mut self) {
        let Ok(condition) = CONDITION.parse::<Condition>() else { return };
        for queue in &self.queues {
            let released = match queue.waiting_for(&condition).await {
                Ok(0) => {
                    self.waited.remove(queue.name());
                    continue;
                }
                Ok(waiting) => {
                    // One job tests whether the store works for jobs. More jobs follow while fewer
                    // wait than before.
                    let before = self.waited.insert(queue.name().clone(), waiting);
                    match before {
                        Some(before) if waiting < before => queue.unpark(&condition).await,
                        _ => queue
                            .unpark_some(&condition, 1)
                            .await
                            .map(|released| Released { released, left: 0 }),
                    }
                }
                Err(error) => Err(error),
            };
            match released {
                Ok(Released { released, left }) => {
                    tracing::info!(queue = %queue.name(), released, left, "jobs that waited for the store continue")
                }
                // Another part reports that Redis is away; the next round comes.
                Err(error) => {
                    tracing::debug!(queue = %queue.name(), %error, "jobs that wait for the store stay")
                }
            }
        }
    }
}
