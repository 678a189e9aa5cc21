//! Releases jobs that were parked because the mail server refused all mail.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use upshot_queue::{Client, Condition, Released};
use upshot_runtime::Health;

use crate::{gate::Gate, pool::Pool};

/// The warning that the mail server refuses all mail.
const WARNING: &str = "smtp";

/// The metric that says the same.
const REFUSED: &str = "upshot_mail_refused";

/// Watches the jobs that wait for the mail server.
///
/// Now and then it releases one job, and all jobs once a mail was accepted. It reads its state from
/// Redis, so it also finds jobs that an earlier process parked.
pub struct Keeper {
    pool: Arc<Pool>,
    condition: Condition,
    queues: Vec<Client>,
    every: Duration,
    health: Health,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("condition", &self.condition).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn new(
        pool: Arc<Pool>,
        condition: Condition,
        queues: Vec<Client>,
        every: Duration,
        health: Health,
    ) -> Self {
        metrics::describe_gauge!(
            REFUSED,
            "Whether the mail server refuses all mail, so that jobs wait for `breaker:smtp`."
        );
        metrics::gauge!(REFUSED).set(0.0);
        Self { pool, condition, queues, every, health }
    }

    /// Watches until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = interval(self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
                () = self.pool.opened.notified() => {}
            }
            let round = async {
                self.tell();
                for queue in &self.queues {
                    // Another part reports that Redis is away; the next round comes.
                    if let Err(error) = self.release(queue).await {
                        tracing::debug!(queue = %queue.name(), %error, "jobs that wait for the mail server stay");
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = round => {}
            }
        }
    }

    fn tell(&self) {
        let why = self.pool.gate(|gate| gate.why_shut().map(ToOwned::to_owned));
        metrics::gauge!(REFUSED).set(f64::from(u8::from(why.is_some())));
        match why {
            Some(why) => self.health.warn(WARNING, &why),
            None => self.health.clear_warning(WARNING),
        }
    }

    async fn release(&self, queue: &Client) -> Result<(), upshot_queue::Error> {
        if queue.waiting_for(&self.condition).await? == 0 {
            return Ok(());
        }
        let is_proven = |gate: &mut Gate| {
            gate.why_shut().is_none() && gate.has_accepted(Instant::now(), self.every.saturating_mul(2))
        };
        if self.pool.gate(is_proven) {
            let Released { released, left } = queue.unpark(&self.condition).await?;
            tracing::info!(queue = %queue.name(), released, left, "jobs that waited for the mail server continue");
            return Ok(());
        }
        self.pool.gate(Gate::let_one_pass);
        queue.unpark_some(&self.condition, 1).await.map(drop)
    }
}
