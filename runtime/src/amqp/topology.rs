//! Declares Upshot's exchanges, queues and bindings in RabbitMQ. Declaring again repairs what was
//! deleted or unbound, and changes nothing else.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::names::{
    AUDIT, CONFIRMATIONS, EVENTS, FORMER_INTAKE, HISTORY, INTAKE, OUTCOMES, PROBE, QUARANTINE,
};
use crate::settings::{AuditSettings, OutcomesSettings};

/// Redeliveries after which RabbitMQ takes a message out of a queue that the bridge consumes. RabbitMQ 4 has 20 by
/// default, which lost connections would use up for good events. The bridge itself puts bad
/// messages into quarantine.
const DELIVERY_LIMIT: i64 = 1_000_000;
/// The largest quarantine, in bytes. Beyond it RabbitMQ refuses messages, and the bridge keeps bad
/// events unacknowledged.
pub const QUARANTINE_BYTES: i64 = 1 << 30;
/// The bytes of a segment of the history. RabbitMQ drops whole segments, and only when it begins a
/// new one.
const SEGMENT_BYTES: i64 = 32 << 20;

/// How much a stream keeps: the history of the receipts, or the audit log. RabbitMQ cannot change
/// this of a stream that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// For how long.
    pub age: Duration,
    /// How many bytes at most.
    pub bytes: u64,
}

impl History {
    /// What the settings ask for; `None` if they switch receipts off.
    pub fn of(settings: &OutcomesSettings) -> Option<Self> {
        settings
            .receipts
            .then_some(Self { age: settings.history_age, bytes: settings.history_bytes.0 as u64 })
    }

    /// What the settings ask for of the audit log; `None` if they do not copy it.
    pub fn of_audit(settings: &AuditSettings) -> Option<Self> {
        settings.history.then_some(Self { age: settings.history_age, bytes: settings.history_bytes.0 as u64 })
    }

    /// What is wrong with the history in RabbitMQ, if anything. Declares nothing that is missing.
    ///
    /// # Errors
    /// When RabbitMQ is away.
    pub async fn look(self, connection: &Connection) -> Result<Option<String>, TopologyError> {
        // Presence first: a declaration with arguments would create the stream.
        let there = Wanted::Stream(HISTORY, self).declare(&channel(connection).await?, true).await;
        let is_there = there.map_err(|error| TopologyError::new("", error));
        match is_there {
            Ok(_) => {}
            Err(TopologyError::Away(error)) => return Err(TopologyError::Away(error)),
            Err(_) => return Ok(Some("it is not there: receipts are not kept".to_owned())),
        }
        let same = Wanted::Stream(HISTORY, self).declare(&channel(connection).await?, false).await;
        match same.map_err(|error| TopologyError::new("", error)) {
            Err(TopologyError::Away(error)) => Err(TopologyError::Away(error)),
            Err(TopologyError::Different { said, .. }) => {
                Ok(Some(format!("it has other properties than the settings ask for: {said}")))
            }
            // A user that may not declare cannot compare.
            Ok(_) | Err(TopologyError::Missing { .. }) => Ok(None),
        }
    }
}

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
    /// Confirmations that wait for a bridge.
    pub confirmations: Depth,
    /// Events in quarantine.
    pub quarantine: Depth,
}

/// What a declaration found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The content of the queues.
    pub depths: Depths,
    /// What is wrong with the history, if anything. Receipts are published all the same.
    pub history: Option<String>,
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
        "{what} is missing, and the user of `amqp.url` may not declare it ({said}): start `upshot bridge`, whose \
         user may declare it (deploy/rabbitmq), or permit to configure `^upshot\\.`"
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
    Stream(&'static str, History),
    Binding { queue: &'static str, exchange: &'static str, key: &'static str },
}

const WANTED: [Wanted; 10] = [
    Wanted::Topic(EVENTS),
    Wanted::Topic(CONFIRMATIONS),
    Wanted::Fanout(QUARANTINE),
    Wanted::Fanout(PROBE),
    Wanted::Queue(INTAKE),
    Wanted::Queue(CONFIRMATIONS),
    Wanted::Queue(QUARANTINE),
    Wanted::Binding { queue: INTAKE, exchange: EVENTS, key: "#" },
    Wanted::Binding { queue: CONFIRMATIONS, exchange: CONFIRMATIONS, key: "#" },
    Wanted::Binding { queue: QUARANTINE, exchange: QUARANTINE, key: "" },
];

/// Declares exchanges, quorum queues and bindings, and returns how many messages wait. If the user
/// may not declare, it checks that everything is there. With a `history` it declares the exchange
/// for receipts and the stream that keeps them, too.
///
/// # Errors
/// See [`TopologyError`].
pub async fn declare(connection: &Connection, history: Option<History>) -> Result<Declared, TopologyError> {
    declare_again(connection, history, &Refused::default()).await
}

/// The same for a connection that declared before.
pub(super) async fn declare_again(
    connection: &Connection,
    history: Option<History>,
    refused: &Refused,
) -> Result<Declared, TopologyError> {
    let mut found = Declared::default();
    let mut declaring = Declaring { connection, channel: channel(connection).await?, refused };
    for wanted in WANTED {
        match (wanted, declaring.declare(wanted).await?) {
            (Wanted::Queue(INTAKE), depth) => found.depths.intake = depth,
            (Wanted::Queue(CONFIRMATIONS), depth) => found.depths.confirmations = depth,
            (Wanted::Queue(QUARANTINE), depth) => found.depths.quarantine = depth,
            _ => {}
        }
    }
    if let Some(history) = history {
        declaring.declare(Wanted::Topic(OUTCOMES)).await?;
        found.history = declaring.history(history).await?;
    }
    Ok(found)
}

/// Declares the exchange and the stream of the audit log. Returns what is wrong with the stream, if
/// anything: a stream that is there with other properties takes entries all the same.
///
/// # Errors
/// When RabbitMQ is away, or the exchange or the stream is missing and the user may not declare it.
pub async fn declare_audit(connection: &Connection, kept: History) -> Result<Option<String>, TopologyError> {
    let refused = Refused::default();
    let mut declaring = Declaring { connection, channel: channel(connection).await?, refused: &refused };
    declaring.declare(Wanted::Fanout(AUDIT)).await?;
    let wrong = match declaring.declare(Wanted::Stream(AUDIT, kept)).await {
        Ok(_) => None,
        Err(TopologyError::Different { what, said }) => {
            declaring.channel = channel(connection).await?;
            Some(otherwise(&what, &said))
        }
        Err(error) => return Err(error),
    };
    declaring.declare(Wanted::Binding { queue: AUDIT, exchange: AUDIT, key: "" }).await?;
    Ok(wrong)
}

/// What to do about a stream that is there with other properties.
fn otherwise(what: &str, said: &str) -> String {
    format!(
        "{what} exists with other properties ({said}): it keeps what these say; set a policy, or delete it, \
         and Upshot declares it again"
    )
}

async fn channel(connection: &Connection) -> Result<Channel, TopologyError> {
    connection.create_channel().await.map_err(TopologyError::Away)
}

/// The parts that the user of a connection may not declare. They are only looked at from then on,
/// because RabbitMQ logs every refusal as an error.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashSet<String>>);

impl Refused {
    fn parts(&self) -> MutexGuard<'_, HashSet<String>> {
        // Every statement leaves the set consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Declaring<'a> {
    connection: &'a Connection,
    channel: Channel,
    refused: &'a Refused,
}

impl Declaring<'_> {
    async fn declare(&mut self, wanted: Wanted) -> Result<Depth, TopologyError> {
        let words = wanted.words();
        if self.refused.parts().contains(&words) {
            match wanted.declare(&self.channel, true).await {
                Ok(depth) => return Ok(depth),
                // RabbitMQ closes the channel with each refusal. The part is missing, and the user
                // may have got the right to declare it.
                Err(_) => self.channel = channel(self.connection).await?,
            }
        }
        let mut declared = wanted.declare(&self.channel, false).await;
        if let Err(error) = &declared
            && wanted.may_be_otherwise(error)
        {
            if is_refused(error) {
                self.refused.parts().insert(words.clone());
            }
            self.channel = channel(self.connection).await?;
            declared = wanted.declare(&self.channel, true).await;
        }
        declared.map_err(|error| TopologyError::new(&words, error))
    }

    /// Declares the history and its binding. Returns what is wrong with it: receipts do not depend
    /// on it.
    async fn history(&mut self, history: History) -> Result<Option<String>, TopologyError> {
        let wanted = [
            Wanted::Stream(HISTORY, history),
            Wanted::Binding { queue: HISTORY, exchange: OUTCOMES, key: "#" },
        ];
        let mut wrong = None;
        for wanted in wanted {
            match self.declare(wanted).await {
                Ok(_) => continue,
                Err(TopologyError::Away(error)) => return Err(TopologyError::Away(error)),
                Err(TopologyError::Different { what, said }) => {
                    wrong.get_or_insert(otherwise(&what, &said));
                }
                Err(error @ TopologyError::Missing { .. }) => {
                    wrong.get_or_insert(format!("{error}; receipts are published, and not kept"));
                }
            }
            self.channel = channel(self.connection).await?;
        }
        Ok(wrong)
    }
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
            Self::Stream(name, kept) => {
                let options = QueueDeclareOptions { passive: look, ..QueueDeclareOptions::durable() };
                channel.queue_declare(name.into(), options, kept.arguments()).await?;
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
            Self::Stream(name, _) => format!("stream `{name}`"),
            Self::Binding { queue, exchange, .. } => {
                format!("the binding of queue `{queue}` to exchange `{exchange}`")
            }
        }
    }
}

/// Whether the user lacks a right.
pub fn is_refused(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(said) = error.kind() else { return false };
    matches!(said.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED))
}

impl History {
    fn arguments(self) -> FieldTable {
        let mut arguments = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        arguments.insert("x-queue-type".into(), text("stream"));
        arguments.insert("x-max-age".into(), text(&format!("{}s", self.age.as_secs())));
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        let segment = AMQPValue::LongLongInt(SEGMENT_BYTES);
        arguments.insert("x-stream-max-segment-size-bytes".into(), segment);
        arguments
    }
}

fn arguments(queue: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    // RabbitMQ drops nothing: it refuses a message that does not fit, and tells the publisher.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if queue != QUARANTINE {
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
