//! Exchanges, queues and bindings: what is deleted comes back, what cannot be declared is said,
//! and the intake of an earlier version is emptied.

use lapin::{
    BasicProperties, Channel, ExchangeKind,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
        QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use upshot_runtime::amqp::{self, EVENTS, FORMER_INTAKE, INTAKE, Link, QUARANTINE};
use upshot_shared::event::STRUCTURED;
use upshot_tests::{PATIENCE, Stage, orders::order};

async fn operator(stage: &Stage) -> (Link, Channel) {
    let link = amqp::connect(amqp::Address::of_url(&stage.amqp), "test-operator", u64::MAX).await.unwrap();
    let channel = link.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (link, channel)
}

/// Publishes until a queue is bound for it: nothing tells when that is.
async fn publish_once_routable(channel: &Channel, event: &Value) {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let publishing = async {
        let mut interval = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            interval.tick().await;
            let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
            let body = event.to_string();
            let sent = channel.basic_publish(EVENTS.into(), "t".into(), options, body.as_bytes(), properties);
            let confirm = sent.await.unwrap().await.unwrap();
            if matches!(confirm, lapin::Confirmation::Ack(None)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, publishing).await.expect("the binding never came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_comes_back_by_itself() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let (link, channel) = operator(&stage).await;
    channel.queue_unbind(INTAKE.into(), EVENTS.into(), "#".into(), FieldTable::default()).await.unwrap();
    let unbound = order(1);
    publish_once_routable(&channel, &unbound).await;
    stage.enqueued(&stage.job_of(&unbound)).await;

    channel.exchange_delete(QUARANTINE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    channel.queue_delete(INTAKE.into(), QueueDeleteOptions::default()).await.unwrap();
    let deleted = order(2);
    publish_once_routable(&channel, &deleted).await;
    stage.enqueued(&stage.job_of(&deleted)).await;
    stage.publish_raw("t", b"{", BasicProperties::default().with_content_type(STRUCTURED.into())).await;
    stage.quarantined(1).await;

    bridge.stop().await;
    link.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_otherwise_is_said_with_the_remedy() {
    let stage = Stage::new().await;
    let (link, channel) = operator(&stage).await;
    channel.exchange_delete(QUARANTINE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(QUARANTINE.into(), ExchangeKind::Direct, durable, FieldTable::default())
        .await
        .unwrap();
    let bridge = stage.start("bridge", &[]).await;
    let said = bridge.logged(&["waiting", "topology"]).await;
    for words in ["exchange `upshot.quarantine` exists with other properties", "delete it"] {
        assert!(said.contains(words), "{said}");
    }
    // Good events are taken all the same.
    let good = order(1);
    stage.publish(&good).await;
    stage.enqueued(&stage.job_of(&good)).await;
    channel.exchange_delete(QUARANTINE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    bridge.logged(&["works again", "topology"]).await;
    bridge.stop().await;
    link.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intake_of_an_earlier_version_is_emptied_and_deleted() {
    let stage = Stage::new().await;
    let (link, channel) = operator(&stage).await;
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", QUARANTINE),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(FORMER_INTAKE.into(), durable, arguments).await.unwrap();
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(FORMER_INTAKE.into(), EVENTS.into(), "#".into(), bind, FieldTable::default())
        .await
        .unwrap();
    // Both queues have these: each becomes one job.
    let old: Vec<Value> = (1..=20).map(order).collect();
    for event in &old {
        stage.publish(event).await;
    }
    let bridge = stage.start("bridge", &[]).await;
    bridge.logged(&["earlier version is empty: deleted"]).await;
    for event in &old {
        stage.enqueued(&stage.job_of(event)).await;
    }
    let fresh = order(21);
    stage.publish(&fresh).await;
    stage.enqueued(&stage.job_of(&fresh)).await;
    bridge.stop().await;
    assert_eq!(stage.queue.counts().await.unwrap().transitions("enqueued"), 21);
    link.close().await;
    stage.finish().await;
}

/// RabbitMQ takes a message out of a queue after a number of redeliveries, 20 in RabbitMQ 4.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_lost_sessions_set_no_good_event_aside() {
    let stage = Stage::new().await;
    let events: Vec<Value> = (1..=5).map(order).collect();
    for event in &events {
        stage.publish(event).await;
    }
    for _ in 0..50 {
        let link = amqp::connect(amqp::Address::of_url(&stage.amqp), "test-lost", u64::MAX).await.unwrap();
        let channel = link.create_channel().await.unwrap();
        let options = lapin::options::BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume(INTAKE.into(), "".into(), options, FieldTable::default()).await.unwrap();
        // One has come, so RabbitMQ counts a delivery; then the connection is gone.
        let next = futures::StreamExt::next(&mut consumer);
        tokio::time::timeout(PATIENCE, next).await.unwrap().unwrap().unwrap();
        link.cut();
    }
    let bridge = stage.start("bridge", &[]).await;
    for event in &events {
        stage.enqueued(&stage.job_of(event)).await;
    }
    bridge.stop().await;
    stage.finish().await;
}

/// RabbitMQ cannot change a stream, and nothing depends on how much it keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_other_properties_is_a_warning() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    bridge.stop().await;
    let bridge = stage.start("bridge", &[("UPSHOT_OUTCOMES__HISTORY_AGE", "1h".to_owned())]).await;
    let said = bridge.logged(&["stream `upshot.outcomes.history` exists with other properties"]).await;
    assert!(said.contains("x-max-age") && said.contains("policy"), "{said}");
    let event = order(1);
    stage.publish(&event).await;
    stage.enqueued(&stage.job_of(&event)).await;
    bridge.stop().await;
    stage.finish().await;
}
