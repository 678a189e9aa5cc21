//! What could not be accepted, kept with the reason and the exact place.

use futures::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use upshot_shared::amqp;

use crate::batch::Rejected;

/// Publishes rejected messages to quarantine, as they came, and waits for the
/// confirms. Only then may they be acknowledged.
pub(crate) async fn publish(channel: &Channel, rejected: &[Rejected]) -> Result<(), String> {
    try_join_all(rejected.iter().map(|each| publish_one(channel, each))).await.map(drop)
}

async fn publish_one(channel: &Channel, rejected: &Rejected) -> Result<(), String> {
    let rejection = &rejected.rejection;
    tracing::warn!(
        reason = %rejection.reason,
        place = %rejection.place,
        detail = %rejection.detail,
        routing_key = %rejected.routing_key,
        "event quarantined"
    );
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = async {
        channel
            .basic_publish(amqp::QUARANTINE.into(), "".into(), options, &rejected.body, properties(rejected))
            .await?
            .await
    };
    match tokio::time::timeout(std::time::Duration::from_secs(10), confirm).await {
        Ok(Ok(Confirmation::Ack(None))) => {
            metrics::counter!("upshot_bridge_quarantined_total", "reason" => rejection.reason.as_str())
                .increment(1);
            Ok(())
        }
        Ok(Ok(_)) => {
            Err("RabbitMQ did not take a message for quarantine: its queue is missing or full".to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("RabbitMQ did not confirm a message for quarantine in time".to_owned()),
    }
}

/// The message's own properties and headers, and ours beside them.
fn properties(rejected: &Rejected) -> BasicProperties {
    let rejection = &rejected.rejection;
    let mut headers = rejected.properties.headers().clone().unwrap_or_default();
    let add = |headers: &mut FieldTable, name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    add(&mut headers, amqp::HEADER_REASON, rejection.reason.as_str());
    add(&mut headers, amqp::HEADER_PLACE, &rejection.place);
    add(&mut headers, amqp::HEADER_DETAIL, &rejection.detail);
    add(&mut headers, amqp::HEADER_ROUTING_KEY, &rejected.routing_key);
    rejected.properties.clone().with_headers(headers).with_delivery_mode(2)
}
