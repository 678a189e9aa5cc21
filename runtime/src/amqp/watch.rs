//! Watches RabbitMQ: whether it takes messages, and whether Upshot's exchanges, queues and bindings
//! are right. Declares again what was deleted or unbound.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{
    publisher::{DeclareError, Publisher},
    topology::{Declared, Depths},
};
use crate::health::Health;

/// How often.
const EVERY: Duration = Duration::from_secs(3);

/// The part of the health that says whether exchanges, queues and bindings are there.
const TOPOLOGY: &str = "topology";
/// The warning that the history of receipts is not as the settings ask for.
const HISTORY: &str = "history";

/// Watches for ever. `part` of the health says whether RabbitMQ takes messages. `seen` receives how
/// many messages wait, or that this is unknown.
pub async fn watch(
    publisher: Publisher,
    health: Health,
    part: &'static str,
    mut seen: impl FnMut(Option<Depths>),
) {
    let mut interval = interval(EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match publisher.check().await {
            Ok(()) => health.up(part),
            Err(error) => health.down(part, error),
        }
        match publisher.declare().await {
            Ok(Declared { depths, history }) => {
                health.up(TOPOLOGY);
                match history {
                    Some(why) => health.warn(HISTORY, &why),
                    None => health.clear_warning(HISTORY),
                }
                seen(Some(depths));
            }
            Err(error) => {
                // Without a connection the topology is unknown, and the other part says why.
                if let DeclareError::Topology(error) = error {
                    health.down(TOPOLOGY, error);
                }
                seen(None);
            }
        }
    }
}
