//! Publishes receipts, and entries of the audit log, on one channel, in order, without waiting for each confirm.
//!
//! RabbitMQ takes the messages of a channel in the order in which they are sent, and confirms many
//! at once. So a pipelined line is far faster than a wait for each confirm.

use lapin::{
    BasicProperties, Channel, Error, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use upshot_shared::{Receipt, event::STRUCTURED};

use super::{
    names::{AUDIT, OUTCOMES},
    publisher::short_string,
    transport::Link,
};

/// A channel with confirms.
#[derive(Debug)]
pub struct Line {
    channel: Channel,
}

impl Line {
    /// Opens a channel.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn open(link: &Link) -> Result<Self, Error> {
        let channel = link.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel })
    }

    /// Sends a receipt. It is published once the returned confirm resolves to an acknowledgement,
    /// whether a queue is bound for it or not.
    ///
    /// # Errors
    /// When the channel or the connection is lost.
    #[expect(clippy::disallowed_methods, reason = "the texts are cut to short strings")]
    pub async fn send(&self, receipt: &Receipt) -> Result<PublisherConfirm, Error> {
        let seconds = u64::try_from(receipt.time.0 / 1000).unwrap_or(0);
        let mut properties = BasicProperties::default()
            .with_content_type(STRUCTURED.into())
            .with_delivery_mode(2)
            .with_message_id(short_string(&receipt.id))
            .with_type(receipt.event_type().into())
            .with_timestamp(seconds)
            .with_app_id("upshot".into());
        if let Some(trace) = &receipt.traceparent {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), AMQPValue::LongString(trace.as_str().into()));
            properties = properties.with_headers(headers);
        }
        let key = short_string(&receipt.routing_key());
        let options = BasicPublishOptions::default();
        self.channel.basic_publish(OUTCOMES.into(), key, options, &receipt.body(), properties).await
    }

    /// Sends an entry of the audit log, as a CloudEvent in structured mode. It is published once the
    /// returned confirm resolves to an acknowledgement without a returned message. RabbitMQ returns a
    /// message that no queue takes with one of the confirms of the channel, not always with its own.
    ///
    /// # Errors
    /// When the channel or the connection is lost.
    #[expect(clippy::disallowed_methods, reason = "the texts are cut to short strings")]
    pub async fn send_act(
        &self,
        id: &str,
        kind: &str,
        at: i64,
        body: &[u8],
    ) -> Result<PublisherConfirm, Error> {
        let properties = BasicProperties::default()
            .with_content_type(STRUCTURED.into())
            .with_delivery_mode(2)
            .with_message_id(short_string(id))
            .with_type(short_string(kind))
            .with_timestamp(u64::try_from(at / 1000).unwrap_or(0))
            .with_app_id("upshot".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        self.channel.basic_publish(AUDIT.into(), "".into(), options, body, properties).await
    }
}
