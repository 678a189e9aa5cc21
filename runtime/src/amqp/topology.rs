//! Declares Upshot's exchanges, queues and bindings in RabbitMQ. Declaring again repairs what was
//! deleted or unbound, and changes nothing else.

use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::names::{EVENTS, FORMER_INTAKE, INTAKE, PROBE, QUARANTINE};

/// Redeliveries after which RabbitMQ takes a message out of the intake. RabbitMQ 4 has 20 by
/// default, which lost connections would use up for good events. The bridge itself puts bad
/// messages into quarantine.
const DELIVERY_LIMIT: i64 = 1_000_000;
/// The largest quarantine, in bytes. Beyond it RabbitMQ refuses messages, and the bridge keeps bad
/// events unacknowledged.
pub const QUARANTINE_BYTES: i64 = 1 << 30;

/// The content of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait.
    pub messages: u32,
    /// Its consumers.
    pub consumers: u32,
}

/// The content of Upshot's queues in RabbitMQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Events that wait for a bridge.
    pub intake: Depth,
    /// Events in quarantine.
    pub quarantine: Depth,
}

/// What is wrong with Upshot's exchanges and queues.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// RabbitMQ is away.
    #[error("RabbitMQ does not answer: {0}")]
    Away(lapin::Error),
    /// Something of the same name has other properties.
    #[error("{what} exists with other properties ({said}): delete it, and Upshot declares it again")]
    Different {
        /// What.
        what: String,
        /// What RabbitMQ says.
        said: String,
    },
    /// Something is missing, and the user may not declare it.
    #[error(
        "{what} is missing, and the user of `amqp.url` may not declare it ({said}): declare it, or permit \
         to configure `^upshot\\.`"
    )]
    Missing {
        /// What.
        what: String,
        /// What RabbitMQ says.
        said: String,
    },
}

impl TopologyError {
    fn new(what: &str, error: lapin::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::ProtocolError(said) => Some((said.kind().clone(), said.get_message().to_string())),
            _ => None,
        };
        let what = what.to_owned();
        match kind {
            Some((AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED), said)) => {
                Self::Different { what, said }
            }
            Some((AMQPErrorKind::Soft(_), said)) => Self::Missing { what, said },
            _ => Self::Away(error),
        }
    }
}

/// The parts of the topology.
#[derive(Clone, Copy)]
enum Wanted {
    Topic(&'static str),
    Fanout(&'static str),
    Queue(&'static str),
    Binding { queue: &'static str, exchange: &'static str, key: &'static str },
}

const WANTED: [Wanted; 7] = [
    Wanted::Topic(EVENTS),
    Wanted::Fanout(QUARANTINE),
    Wanted::Fanout(PROBE),
    Wanted::Queue(INTAKE),
    Wanted::Queue(QUARANTINE),
    Wanted::Binding { queue: INTAKE, exchange: EVENTS, key: "#" },
    Wanted::Binding { queue: QUARANTINE, exchange: QUARANTINE, key: "" },
];

/// Declares exchanges, quorum queues and bindings, and returns how many messages wait. If the user
/// may not declare, it checks that everything is there.
///
/// # Errors
/// See [`TopologyError`].
pub async fn declare(connection: &Connection) -> Result<Depths, TopologyError> {
    let mut depths = Depths::default();
    let mut channel = connection.create_channel().await.map_err(TopologyError::Away)?;
    for wanted in WANTED {
        let mut declared = wanted.declare(&channel, false).await;
        if declared.as_ref().is_err_and(|error| wanted.may_be_otherwise(error)) {
            // RabbitMQ closes the channel with each refusal.
            channel = connection.create_channel().await.map_err(TopologyError::Away)?;
            declared = wanted.declare(&channel, true).await;
        }
        match (wanted, declared.map_err(|error| TopologyError::new(&wanted.words(), error))?) {
            (Wanted::Queue(INTAKE), depth) => depths.intake = depth,
            (Wanted::Queue(QUARANTINE), depth) => depths.quarantine = depth,
            _ => {}
        }
    }
    Ok(depths)
}

impl Wanted {
    /// Declares the part, or with `look` only checks that it is there.
    async fn declare(self, channel: &Channel, look: bool) -> Result<Depth, lapin::Error> {
        let nothing = FieldTable::default();
        match self {
            Self::Topic(name) | Self::Fanout(name) => {
                let kind =
                    if matches!(self, Self::Topic(_)) { ExchangeKind::Topic } else { ExchangeKind::Fanout };
                let options = ExchangeDeclareOptions {
                    durable: true,
                    passive: look,
                    ..ExchangeDeclareOptions::default()
                };
                channel.exchange_declare(name.into(), kind, options, nothing).await?;
            }
            Self::Queue(name) => {
                let options = QueueDeclareOptions { passive: look, ..QueueDeclareOptions::durable() };
                let queue = channel.queue_declare(name.into(), options, arguments(name)).await?;
                return Ok(Depth { messages: queue.message_count(), consumers: queue.consumer_count() });
            }
            // AMQP cannot check a binding. If the user may not bind, this assumes that another user
            // did.
            Self::Binding { .. } if look => {}
            Self::Binding { queue, exchange, key } => {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue.into(), exchange.into(), key.into(), options, nothing).await?;
            }
        }
        Ok(Depth::default())
    }

    /// Whether presence is enough: the user may not declare the part, or it is the quarantine of an
    /// earlier version, which has no bound.
    fn may_be_otherwise(self, error: &lapin::Error) -> bool {
        let ErrorKind::ProtocolError(said) = error.kind() else { return false };
        match said.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => true,
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
                matches!(self, Self::Queue(QUARANTINE))
            }
            _ => false,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Topic(name) | Self::Fanout(name) => format!("exchange `{name}`"),
            Self::Queue(name) => format!("queue `{name}`"),
            Self::Binding { queue, exchange, .. } => {
                format!("the binding of queue `{queue}` to exchange `{exchange}`")
            }
        }
    }
}

fn arguments(queue: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    // RabbitMQ drops nothing: it refuses a message that does not fit, and tells the publisher.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if queue == INTAKE {
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        arguments.insert("x-dead-letter-exchange".into(), text(QUARANTINE));
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    } else {
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(QUARANTINE_BYTES));
    }
    arguments
}

/// Unbinds the intake of an earlier version, so that it gets no more events.
///
/// # Errors
/// When RabbitMQ is away, or the user may not unbind it.
pub async fn unbind_former(connection: &Connection) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.queue_unbind(FORMER_INTAKE.into(), EVENTS.into(), "#".into(), FieldTable::default()).await
}

/// Deletes the intake of an earlier version, with all that is in it.
///
/// # Errors
/// When RabbitMQ is away, or the user may not delete it.
pub async fn delete_former(connection: &Connection) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.queue_delete(FORMER_INTAKE.into(), QueueDeleteOptions::default()).await.map(drop)
}
