//! Declares what Upshot needs in RabbitMQ. Declaring again changes nothing.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::names::{BRIDGE, EVENTS, QUARANTINE};

/// Declares exchanges, quorum queues and bindings.
///
/// # Errors
/// When RabbitMQ is away, or something of the same name has other properties.
pub async fn declare(channel: &Channel) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    for (name, kind) in [(EVENTS, ExchangeKind::Topic), (QUARANTINE, ExchangeKind::Fanout)] {
        channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
    }
    for (queue, exchange, key) in [(BRIDGE, EVENTS, "#"), (QUARANTINE, QUARANTINE, "")] {
        let mut arguments = FieldTable::default();
        let mut set = |name: &str, value: &str| {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        set("x-queue-type", "quorum");
        if queue == BRIDGE {
            // RabbitMQ 4 drops a message after 20 redeliveries unless it knows
            // where else to put it; at-least-once needs reject-publish.
            set("x-dead-letter-exchange", QUARANTINE);
            set("x-dead-letter-strategy", "at-least-once");
            set("x-overflow", "reject-publish");
        }
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await?;
    }
    Ok(())
}
