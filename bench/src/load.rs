//! Events like those of a producer, published with confirms.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use upshot_runtime::amqp;
use upshot_shared::event::STRUCTURED;
use uuid::Uuid;

/// The type of the events.
pub const EVENT_TYPE: &str = "bench.noop.v1";
/// What their data must look like.
pub const CONTRACT: &str = include_str!("load.schema.json");
/// Confirms that may be outstanding; more gains nothing.
const WINDOW: usize = 1000;
/// What makes an event's data 300 bytes long.
const FILLER: usize = 231;

/// An event as its message.
#[derive(Debug)]
pub struct Message {
    /// The event's id.
    pub id: String,
    /// The structured CloudEvent.
    pub body: String,
}

/// The `n`th event.
pub fn event(n: usize) -> Message {
    let id = Uuid::new_v4().to_string();
    let trace = format!("00-{}-{:016x}-01", Uuid::new_v4().simple(), n + 1);
    let data = data(n);
    let body = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shops/berlin","type":"{EVENT_TYPE}","subject":"order-{n}","time":"2026-03-14T09:26:53.589Z","datacontenttype":"application/json","tenant":"berlin","traceparent":"{trace}","data":{data}}}"#
    );
    Message { id, body }
}

/// 300 bytes of data that say when they were made.
pub fn data(n: usize) -> String {
    let (now, filler) = (now_ns(), "x".repeat(FILLER));
    format!(r#"{{"published_ns":"{now:020}","number":"{n:08}","text":"{filler}"}}"#)
}

/// Nanoseconds of the clock that all processes of a machine share.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// When an event of this data was published.
pub fn published_ns(data: &[u8]) -> Option<u64> {
    let data: serde_json::Value = serde_json::from_slice(data).ok()?;
    data.get("published_ns")?.as_str()?.parse().ok()
}

/// Counts from 0, this many a second. Late ones follow at once, so that the
/// rate is kept.
pub fn ticks(rate: u32) -> impl Stream<Item = usize> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    stream::unfold((pace, 0), |(mut pace, number)| async move {
        pace.tick().await;
        Some((number, (pace, number + 1)))
    })
}

/// A producer's connection.
pub struct Producer {
    connection: Connection,
    channel: Channel,
}

impl Producer {
    /// Connects.
    pub async fn connect(amqp: &str) -> anyhow::Result<Self> {
        let connection =
            Connection::connect(amqp, ConnectionProperties::default()).await.context("RabbitMQ")?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    /// Publishes one event and waits until RabbitMQ has it.
    #[expect(clippy::disallowed_methods, reason = "an id of the bench's own")]
    pub async fn publish(&self, message: Message) -> anyhow::Result<()> {
        let properties = BasicProperties::default()
            .with_content_type(STRUCTURED.into())
            .with_message_id(message.id.into())
            .with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self
            .channel
            .basic_publish(
                amqp::EVENTS.into(),
                EVENT_TYPE.into(),
                options,
                message.body.as_bytes(),
                properties,
            )
            .await?;
        let confirmed = confirm.await?;
        ensure!(
            matches!(confirmed, Confirmation::Ack(None)),
            "RabbitMQ did not take an event: {confirmed:?}"
        );
        Ok(())
    }

    /// Publishes this many, many confirms at a time.
    pub async fn publish_many(&self, n: usize) -> anyhow::Result<()> {
        stream::iter(0..n)
            .map(|n| self.publish(event(n)))
            .buffered(WINDOW)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Closes the connection.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_event_is_300_bytes_of_json_that_says_when() {
        let message = event(42);
        let event: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        let data = event.get("data").unwrap().to_string();
        assert_eq!(data.len(), 300);
        assert!(published_ns(data.as_bytes()).unwrap() <= now_ns());
    }
}
