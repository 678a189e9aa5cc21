//! What waits in RabbitMQ, as it is shown.

use serde::Serialize;
use upshot_runtime::amqp::{Depth, Depths, INTAKE, QUARANTINE};
use utoipa::ToSchema;

/// Upshot's queues in RabbitMQ.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Rabbitmq)]
pub struct RabbitmqBody {
    /// Events that no bridge has taken yet.
    intake: DepthBody,
    /// Events that could not be accepted.
    quarantine: DepthBody,
}

/// A queue in RabbitMQ.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Depth)]
pub struct DepthBody {
    /// Its name.
    #[schema(example = "upshot.intake")]
    queue: &'static str,
    /// Messages that wait; those that a bridge has in hand do not count.
    messages: u32,
    /// Who consumes it: for the intake, bridges.
    consumers: u32,
}

impl DepthBody {
    fn new(queue: &'static str, Depth { messages, consumers }: Depth) -> Self {
        Self { queue, messages, consumers }
    }
}

impl From<Depths> for RabbitmqBody {
    fn from(Depths { intake, quarantine }: Depths) -> Self {
        Self { intake: DepthBody::new(INTAKE, intake), quarantine: DepthBody::new(QUARANTINE, quarantine) }
    }
}
