//! The view of what waits in RabbitMQ.

use serde::Serialize;
use upshot_runtime::amqp::{CONFIRMATIONS, Depth, Depths, INTAKE, QUARANTINE};
use utoipa::ToSchema;

/// Upshot's queues in RabbitMQ.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Rabbitmq)]
pub struct RabbitmqBody {
    /// Events that wait for a bridge.
    intake: DepthBody,
    /// Confirmations that wait for a bridge.
    confirmations: DepthBody,
    /// Events in quarantine.
    quarantine: DepthBody,
}

/// A queue in RabbitMQ.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Depth)]
pub struct DepthBody {
    /// Its name.
    #[schema(example = "upshot.intake")]
    queue: &'static str,
    /// Messages that wait, without those that a bridge has read.
    messages: u32,
    /// Consumers: for intake and confirmations, bridges.
    consumers: u32,
}

impl DepthBody {
    fn new(queue: &'static str, Depth { messages, consumers }: Depth) -> Self {
        Self { queue, messages, consumers }
    }
}

impl From<Depths> for RabbitmqBody {
    fn from(Depths { intake, confirmations, quarantine }: Depths) -> Self {
        Self {
            intake: DepthBody::new(INTAKE, intake),
            confirmations: DepthBody::new(CONFIRMATIONS, confirmations),
            quarantine: DepthBody::new(QUARANTINE, quarantine),
        }
    }
}
