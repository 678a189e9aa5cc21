//! Records messages in the ledger's list, and forgets what is too old there.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use upshot_ledger::quarantine::{self, Bounds, Facts, MessageId};
use upshot_queue::connect::Backoff;
use upshot_runtime::Health;
use upshot_shared::{Reason, event::Glimpse};

use super::PART;
use crate::batch::{self, Arrived, Refused};

/// The warning that messages in quarantine get no row.
const UNLISTED: &str = "quarantine_rows";
/// How often a row is tried that Redis refuses for a reason which does not pass by itself.
const TRIES: u32 = 4;
/// How often rows that are too old are forgotten.
const EVERY: Duration = Duration::from_secs(60);

/// The list of messages in quarantine. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    rows: quarantine::Quarantine,
    bounds: Bounds,
}

impl Rows {
    pub(crate) fn new(rows: quarantine::Quarantine, bounds: Bounds) -> Self {
        Self { rows, bounds }
    }

    /// Records a message of which RabbitMQ has a copy. Returns once Redis has the row; waits while
    /// Redis is away. Gives up only if the ledger is damaged, because a repair by a person may take
    /// long and the message is safe: it is then in RabbitMQ without a row.
    pub(super) async fn record(&self, id: &MessageId, arrived: &Arrived, refused: &Refused, health: &Health) {
        let (reason, facts) = (refused.rejection.reason, facts(arrived, refused));
        let (mut backoff, mut tries) = (Backoff::default(), 0);
        loop {
            match self.once(id, reason, &facts).await {
                Ok(()) => return health.clear_warning(UNLISTED),
                Err(error) if error.is_passing() => {
                    let remedy = "bad events wait unacknowledged, good ones continue";
                    health.down(PART, format!("{error}; {remedy}"));
                }
                Err(error) => {
                    tries += 1;
                    if tries == TRIES {
                        return health.warn(UNLISTED, &error.to_string());
                    }
                }
            }
            backoff.wait().await;
        }
    }

    async fn once(&self, id: &MessageId, reason: Reason, facts: &Facts) -> Result<(), quarantine::Error> {
        self.rows.record(id, reason, facts, self.bounds).await?;
        upshot_queue::crash_point();
        Ok(())
    }

    /// Forgets rows that are too old, from time to time. Never ends.
    pub(crate) async fn trim(self) {
        let mut interval = interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            loop {
                match self.rows.trim(self.bounds).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        // The watch over Redis says what is wrong with it.
                        tracing::debug!(%error, "old rows of quarantine are not forgotten");
                        break;
                    }
                }
            }
        }
    }
}

/// What a row says of a message.
fn facts(arrived: &Arrived, refused: &Refused) -> Facts {
    let Glimpse { id, source, kind, subject } =
        Glimpse::of(&batch::envelope(&arrived.properties), &arrived.body);
    Facts {
        place: refused.rejection.place.clone(),
        detail: refused.rejection.detail.clone(),
        size: arrived.body.len() as u64,
        routing_key: arrived.routing_key.clone(),
        kind,
        source,
        event_id: id,
        subject,
    }
    .shortened()
}
