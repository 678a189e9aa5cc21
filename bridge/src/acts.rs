//! Copies the audit log from Redis to the stream `upshot.audit` in RabbitMQ.
//!
//! At least once, and in order: an entry may come twice, with the same id. One process copies at a
//! time. An entry counts as copied after RabbitMQ has confirmed it. While RabbitMQ is away, entries
//! wait in Redis within the bounds of `[audit]`, and acts continue; entries that are trimmed before
//! they are copied are counted.
//!
//! | module | its one thing |
//! |---|---|
//! | [`event`] | the CloudEvent that an entry becomes |
//! | `session` | one connection: hold, read, publish, note |

pub mod event;
mod session;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio_util::sync::CancellationToken;
use upshot_access::acts::{Acts, Kept};
use upshot_queue::{Connector, connect::Backoff};
use upshot_runtime::{
    Health, Settings,
    amqp::{self, History},
};

use session::Session;

/// The warning that entries are not copied.
pub const WARNING: &str = "audit log";
/// The warning that the stream has other properties than the settings ask for.
const STREAM: &str = "stream of the audit log";

/// Copies the audit log. Clones share everything.
#[derive(Clone)]
pub struct Copier {
    connector: Connector,
    acts: Acts,
    /// Kept, because it remembers which of RabbitMQ's hosts to try first.
    amqp: amqp::Address,
    /// `None` where the settings do not copy the log.
    kept: Option<History>,
    health: Health,
    /// Identifies this process.
    owner: String,
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier").finish_non_exhaustive()
    }
}

impl Copier {
    /// Checks the settings. It does not connect yet.
    ///
    /// # Errors
    /// When the address of Redis cannot be used.
    pub fn new(settings: &Settings, health: Health) -> redis::RedisResult<Self> {
        describe_counter!("upshot_audit_copied_total", "Entries of the audit log that RabbitMQ confirmed.");
        counter!("upshot_audit_copied_total").absolute(0);
        describe_counter!("upshot_audit_failures_total", "How often entries of the audit log had to wait.");
        counter!("upshot_audit_failures_total").absolute(0);
        describe_gauge!("upshot_audit_copying", "1 while this process copies the audit log.");
        gauge!("upshot_audit_copying").set(0.0);
        let connector = Connector::new(settings.redis.options())?;
        let of = &settings.audit;
        let kept = Kept { time: of.keep, acts: of.keep_acts, refusals: of.keep_refusals };
        Ok(Self {
            acts: Acts::with_connection(connector.connect()?, connector.prefix(), kept),
            connector,
            amqp: amqp::Address::from(&settings.amqp),
            kept: History::of_audit(of),
            health,
            owner: format!("{:016x}", rand::random::<u64>()),
        })
    }

    /// Copies until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let Some(kept) = self.kept else { return };
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let mut worked = false;
            let session = Session { copier: &self, kept, stop: &stop };
            let Err(why) = session.run(&mut worked).await else { return };
            gauge!("upshot_audit_copying").set(0.0);
            if worked {
                backoff.reset();
            }
            self.failed(&why);
            tokio::select! {
                () = stop.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }

    /// Notes a failure. It is logged once for each outage.
    fn failed(&self, why: &str) {
        counter!("upshot_audit_failures_total").increment(1);
        if self.health.warnings().contains_key(WARNING) {
            tracing::debug!(why, "entries of the audit log still wait");
        } else {
            self.health.warn(WARNING, &format!("its entries wait in Redis: {why}"));
        }
    }

    /// Notes that entries are copied.
    fn works(&self) {
        if self.health.warnings().contains_key(WARNING) {
            self.health.clear_warning(WARNING);
            tracing::info!("the audit log is copied again");
        }
    }
}
