//! What could not be accepted, kept with the reason and the exact place.

use futures::future::try_join_all;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use upshot_shared::amqp::{self, PublishError, Publisher};

use crate::batch::Rejected;

/// Headers of a producer that are larger than this are left out: together with
/// ours they have to fit into one AMQP frame (128 KiB), or the broker closes
/// the connection.
const MOST_HEADERS: usize = 32 << 10;

/// Publishes rejected messages to quarantine and waits for the confirms. Only
/// then may they be acknowledged.
///
/// The publisher has a connection of its own: under a memory alarm RabbitMQ
/// stops reading connections that publish, and acknowledgements must go on.
pub(crate) async fn publish(publisher: &Publisher, rejected: &[Rejected]) -> Result<(), PublishError> {
    try_join_all(rejected.iter().map(|each| publish_one(publisher, each))).await.map(drop)
}

async fn publish_one(publisher: &Publisher, rejected: &Rejected) -> Result<(), PublishError> {
    let rejection = &rejected.rejection;
    tracing::warn!(
        reason = %rejection.reason,
        place = %rejection.place,
        detail = %rejection.detail,
        routing_key = %rejected.routing_key,
        "event quarantined"
    );
    publisher.publish(amqp::QUARANTINE, "", &rejected.body, properties(rejected), true).await?;
    metrics::counter!("upshot_bridge_quarantined_total", "reason" => rejection.reason.as_str()).increment(1);
    Ok(())
}

/// What describes the message, and our headers beside its own. Properties that
/// tell the broker to do something are not repeated: a `user_id` other than
/// ours is refused with the whole channel, an `expiration` would let the
/// evidence vanish.
fn properties(rejected: &Rejected) -> BasicProperties {
    let from = &rejected.properties;
    let mut properties = BasicProperties::default();
    if let Some(value) = from.content_type() {
        properties = properties.with_content_type(value.clone());
    }
    if let Some(value) = from.content_encoding() {
        properties = properties.with_content_encoding(value.clone());
    }
    if let Some(value) = from.message_id() {
        properties = properties.with_message_id(value.clone());
    }
    if let Some(value) = from.correlation_id() {
        properties = properties.with_correlation_id(value.clone());
    }
    if let Some(value) = from.timestamp() {
        properties = properties.with_timestamp(*value);
    }
    if let Some(value) = from.app_id() {
        properties = properties.with_app_id(value.clone());
    }
    let mut headers = from.headers().clone().unwrap_or_default();
    let add = |headers: &mut FieldTable, name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if format!("{headers:?}").len() > MOST_HEADERS {
        headers = FieldTable::default();
        add(&mut headers, amqp::HEADER_DROPPED, "the producer's headers were larger than 32 KiB");
    }
    if let Some(user) = from.user_id() {
        add(&mut headers, amqp::HEADER_USER, user.as_str());
    }
    let rejection = &rejected.rejection;
    add(&mut headers, amqp::HEADER_REASON, rejection.reason.as_str());
    add(&mut headers, amqp::HEADER_PLACE, &rejection.place);
    add(&mut headers, amqp::HEADER_DETAIL, &rejection.detail);
    add(&mut headers, amqp::HEADER_ROUTING_KEY, &rejected.routing_key);
    properties.with_headers(headers)
}
