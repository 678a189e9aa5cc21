//! The intake of an earlier version: emptied, then deleted.
//!
//! Its arguments cannot be changed, so events go to a queue of another name; what the former
//! one still holds is consumed beside it. RabbitMQ deletes a quorum queue whether it is empty or
//! not, so a bridge keeps its consumer while it has any of its messages in hand: a queue without
//! messages and without other consumers is empty.

use lapin::{
    Channel, Connection, Consumer,
    options::{BasicCancelOptions, BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use upshot_shared::amqp::{self, FORMER_INTAKE};

const TAG: &str = "upshot-bridge-former";

/// What is known of the former intake.
pub(crate) enum Former {
    /// It is there, and consumed.
    Consumed,
    /// It is there, and this bridge has nothing of it.
    Seen,
    /// It is not there.
    Gone,
}

impl Former {
    /// Looks for it, and sees to it that no event comes into it any more.
    pub(crate) async fn find(connection: &Connection) -> Result<Self, lapin::Error> {
        Ok(if amqp::unbind_former(connection).await? { Self::Seen } else { Self::Gone })
    }

    /// Consumes it while it holds messages, and deletes it afterwards. To be called now and then,
    /// while no delivery waits to be looked at; `is_idle` says that none is unacknowledged.
    /// Returns the consumer where one starts.
    pub(crate) async fn tend(
        &mut self,
        connection: &Connection,
        channel: &Channel,
        is_idle: bool,
    ) -> Result<Option<Consumer>, lapin::Error> {
        if matches!(self, Self::Gone) {
            return Ok(None);
        }
        let asking = connection.create_channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        let Ok(queue) = asking.queue_declare(FORMER_INTAKE.into(), passive, FieldTable::default()).await
        else {
            *self = Self::Gone;
            return Ok(None);
        };
        match (&self, queue.message_count(), queue.consumer_count()) {
            (Self::Consumed, 0, 1) if is_idle => self.delete(connection).await,
            (Self::Seen, 0, 0) => self.delete(connection).await,
            (Self::Consumed, 0, _) if is_idle => {
                // The last bridge that has something of it deletes it.
                channel.basic_cancel(TAG.into(), BasicCancelOptions::default()).await?;
                *self = Self::Seen;
            }
            (Self::Seen, messages @ 1.., _) => {
                tracing::info!(queue = FORMER_INTAKE, messages, "consuming the intake of an earlier version");
                let options = BasicConsumeOptions::default();
                let consuming =
                    channel.basic_consume(FORMER_INTAKE.into(), TAG.into(), options, FieldTable::default());
                *self = Self::Consumed;
                return Ok(Some(consuming.await?));
            }
            _ => {}
        }
        Ok(None)
    }

    async fn delete(&mut self, connection: &Connection) {
        match amqp::delete_former(connection).await {
            Ok(()) => {
                tracing::info!(queue = FORMER_INTAKE, "the intake of an earlier version is empty: deleted")
            }
            Err(error) => tracing::warn!(
                queue = FORMER_INTAKE, %error,
                "the intake of an earlier version is empty and cannot be deleted: delete it"
            ),
        }
        *self = Self::Gone;
    }
}
