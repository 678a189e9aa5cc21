//! Publishes receipts: from the outbox of each queue to the exchange `upshot.outcomes`.
//!
//! | module | its one thing |
//! |---|---|
//! | [`session`] | one queue on one connection: hold, read, publish, acknowledge |
//! | [`flight`] | receipts on the way, and their confirms |
//! | [`off`] | drops the group where receipts are switched off |
//! | `metrics` | the metrics of the relay |
//!
//! At least once, and in order per job: a receipt may come twice, with the same id; after the
//! second and later ones are dropped, the receipts of a job are in order.
//! - One process of a queue relays at a time ([`upshot_queue::Hold`]). If two do for a moment, both
//!   read the same entries in the same order, so only repetitions can follow.
//! - An entry is acknowledged after RabbitMQ has confirmed all of its receipts.
//! - A receipt waits for the confirm of the earlier receipt of its job.
//!
//! What happens when:
//! | fault | then |
//! |---|---|
//! | RabbitMQ is away, frozen, or takes no messages | entries stay in the outbox; the relay connects again and catches up |
//! | RabbitMQ refuses a receipt (a bound queue is full and refuses messages) | the relay publishes that receipt again until it is taken; later ones wait |
//! | Redis is away | the relay backs off, and reads again what is not acknowledged |
//! | a job is forgotten or damaged | its receipt has what the entry says |
//! | the process is killed between publishing and acknowledging | another one publishes these receipts again |
//! | an operator drops the group | the relay joins again and begins with the oldest entry |

mod flight;
mod metrics;
mod off;
mod session;

use futures::future;
use tokio_util::sync::CancellationToken;
use upshot_queue::{Connector, QueueName, connect::Backoff};
use upshot_runtime::{
    Health, Settings,
    amqp::{self, History},
};

use session::Session;

/// The group of the outbox that the relay reads as.
pub const GROUP: &str = "receipts";
/// The warning that receipts are not published.
pub const WARNING: &str = "receipts";

/// Publishes the receipts of all queues of the settings.
#[derive(Clone)]
pub struct Relay {
    connector: Connector,
    queues: Vec<QueueName>,
    /// Kept, because it remembers which of RabbitMQ's hosts to try first.
    amqp: amqp::Address,
    /// `None` where receipts are switched off.
    history: Option<History>,
    health: Health,
    /// Identifies this process.
    owner: String,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("queues", &self.queues).finish_non_exhaustive()
    }
}

impl Relay {
    /// Checks the settings. It does not connect yet.
    ///
    /// # Errors
    /// When the address of Redis cannot be used.
    pub fn new(settings: &Settings, health: Health) -> Result<Self, redis::RedisError> {
        metrics::describe(settings);
        Ok(Self {
            connector: Connector::new(settings.redis.options())?,
            queues: settings.queues.keys().cloned().collect(),
            amqp: amqp::Address::from(&settings.amqp),
            history: History::of(&settings.outcomes),
            health,
            owner: format!("{:016x}", rand::random::<u64>()),
        })
    }

    /// Relays until `stop` fires. Finishes the receipts on the way first.
    pub async fn run(self, stop: CancellationToken) {
        let Some(history) = self.history else { return off::drop_groups(&self, &stop).await };
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let mut worked = false;
            let Err(why) = self.connected(history, &stop, &mut worked).await else { return };
            if worked {
                backoff.reset();
            }
            self.failed(WARNING, "rabbitmq", &format!("receipts wait in Redis: {why}"));
            tokio::select! {
                () = stop.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }

    /// Relays on one connection. Returns why it ended, or `Ok` after a stop.
    async fn connected(
        &self,
        history: History,
        stop: &CancellationToken,
        worked: &mut bool,
    ) -> Result<(), String> {
        let link = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            link = amqp::connect(&self.amqp, "upshot-receipts", u64::MAX) => link.map_err(|error| error.to_string())?,
        };
        // The watch over the topology reports what is wrong with it.
        let _ = amqp::declare(&link, Some(history)).await;
        *worked = true;
        let queues = self.queues.iter().map(|queue| Session { relay: self, link: &link, queue, stop }.run());
        let ended = future::try_join_all(queues).await;
        match &ended {
            Ok(_) => link.close().await,
            // Nothing of an old connection may be published later.
            Err(_) => link.cut(),
        }
        ended.map(drop)
    }

    /// Notes a failure. It is logged once for each outage.
    fn failed(&self, warning: &str, cause: &'static str, why: &str) {
        ::metrics::counter!("upshot_receipts_failures_total", "cause" => cause).increment(1);
        if self.health.warnings().contains_key(warning) {
            tracing::debug!(warning, why, "receipts still wait");
        } else {
            self.health.warn(warning, why);
        }
    }

    /// Notes that receipts are published.
    fn works(&self, warning: &str) {
        if self.health.warnings().contains_key(warning) {
            self.health.clear_warning(warning);
            tracing::info!(warning, "receipts are published again");
        }
    }
}
