//! The bridge alone, between a real RabbitMQ and a real Redis: no executor, no API.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use futures::StreamExt;
use lapin::{
    BasicProperties,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use upshot_bridge::Bridge;
use upshot_queue::{JobId, State};
use upshot_runtime::{
    Health,
    amqp::{self, Address, EVENTS, INTAKE, Publisher, QUARANTINE},
    health::{REDIS, watch_redis},
};
use upshot_shared::{
    Route,
    event::{Identity, STRUCTURED},
};
use upshot_testkit::{PATIENCE, TestRabbit, TestRedis, own_redis, within};

const CONTRACT: &str =
    r#"{"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}"#;

/// One bridge with a virtual host and a key prefix of its own.
struct Stage {
    redis: TestRedis,
    amqp: String,
    publisher: Publisher,
    health: Health,
    route: Route,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _watching: AbortOnDropHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        Self::on(TestRedis::new("orders").await).await
    }

    async fn on(mut redis: TestRedis) -> Self {
        let (_, amqp) = TestRabbit::get().await.vhost();
        let route = Route::new("order.placed.v1", "order.book", redis.queue.name().clone(), PATIENCE);
        redis.settings.amqp.url = amqp.clone().into();
        redis.settings.routes = vec![route.clone()];
        redis.settings.contracts.built_in = vec![("order.placed.v1", CONTRACT)];
        let publisher = Publisher::new(Address::of_url(&amqp), "test", true, PATIENCE);
        publisher.check().await.unwrap();
        let (health, stop) = (Health::needing(&["intake", "rabbitmq", REDIS]), CancellationToken::new());
        let watch = watch_redis(redis.connector.clone(), health.clone());
        let watching = AbortOnDropHandle::new(tokio::spawn(watch));
        let bridge = Bridge::new(&redis.settings, health.clone()).unwrap();
        let running = tokio::spawn(bridge.run(stop.clone()));
        within("the bridge consumes", health.wait_for(&["intake", "rabbitmq"])).await;
        Self { redis, amqp, publisher, health, route, stop, running, _watching: watching }
    }

    async fn publish(&self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or("unknown");
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        let body = event.to_string();
        self.publisher.publish(EVENTS, kind, body.as_bytes(), properties, true).await.unwrap();
    }

    fn job_of(&self, id: &str) -> JobId {
        self.route.job_id("/shop", Identity::Id(id))
    }

    /// The reasons of the next messages in quarantine.
    async fn quarantined(&self, count: usize) -> Vec<String> {
        let connection =
            amqp::connect(Address::of_url(&self.amqp), "test-quarantine", u64::MAX).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(QUARANTINE.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap();
        let taken = within("events come to quarantine", consumer.take(count).collect::<Vec<_>>()).await;
        let mut reasons = Vec::new();
        for delivery in taken {
            let delivery = delivery.unwrap();
            let headers = delivery.properties.headers().as_ref().unwrap().inner();
            reasons.push(headers["x-upshot-reason"].as_long_string().unwrap().to_string());
            delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        }
        connection.close().await;
        reasons
    }

    /// Stops the bridge. Nothing may be left in the intake or in quarantine.
    async fn finish(self) {
        self.stop.cancel();
        within("the bridge stops", self.running).await.unwrap();
        self.publisher.close().await;
        for queue in [INTAKE, QUARANTINE] {
            assert_eq!(waiting_in(&self.amqp, queue).await, 0, "the test leaves messages in {queue}");
        }
        self.redis.finish().await;
    }
}

/// Messages that wait in a queue, and are with no consumer.
async fn waiting_in(amqp: &str, queue: &str) -> u32 {
    let connection = amqp::connect(Address::of_url(amqp), "test-count", u64::MAX).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    let count = declared.message_count();
    connection.close().await;
    count
}

fn order(id: &str, number: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order.placed.v1", "subject": id,
        "data": {"number": number}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_job_however_often_it_comes_and_a_bad_one_is_set_aside() {
    let stage = Stage::new().await;
    for id in ["1", "2"] {
        stage.publish(&order(id, &json!(7))).await;
    }
    stage.publish(&order("3", &json!("seven"))).await;
    stage.publish(&order("1", &json!(7))).await;
    stage
        .publish(&json!({"specversion": "1.0", "id": "4", "source": "/shop", "type": "order.lost.v1"}))
        .await;
    stage.publish(&order("5", &json!(7))).await;
    let last = stage.redis.until(&stage.job_of("5"), State::Ready).await;
    assert_eq!((last.kind.as_str(), last.subject.as_deref()), ("order.book", Some("5")));
    assert!(last.expectation.is_some(), "the expectation is part of the job");
    let mut reasons = stage.quarantined(2).await;
    reasons.sort_unstable();
    assert_eq!(reasons, ["contract_violation", "unknown_type"]);
    let counts = stage.redis.queue.counts().await.unwrap();
    assert_eq!(counts.of(State::Ready), 3, "{counts:?}");
    assert_eq!(stage.redis.queue.job(&stage.job_of("1")).await.unwrap().unwrap().duplicates, 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_redis_holds_it() {
    let server = own_redis().await;
    let mut redis = TestRedis::on(&server.url(), "test", "orders");
    redis.settings.redis.response_timeout = Duration::from_secs(1);
    let stage = Stage::on(redis).await;
    stage.publish(&order("1", &json!(1))).await;
    stage.redis.until(&stage.job_of("1"), State::Ready).await;
    server.pause().unwrap();
    for id in ["2", "3", "4"] {
        stage.publish(&order(id, &json!(1))).await;
    }
    let refused = async {
        while stage.health.why_missing(REDIS).is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("readiness says that Redis does not answer", refused).await;
    // The bridge ends without an acknowledgement: RabbitMQ has all three again.
    stage.stop.cancel();
    within("the bridge stops", stage.running).await.unwrap();
    let all_back = async { while waiting_in(&stage.amqp, INTAKE).await < 3 {} };
    within("RabbitMQ has all three again", all_back).await;
    server.resume().unwrap();
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    for id in ["2", "3", "4"] {
        let id = stage.route.job_id("/shop", Identity::Id(id));
        stage.redis.until(&id, State::Ready).await;
    }
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    stage.publisher.close().await;
    stage.redis.finish().await;
    server.stop().await.unwrap();
}
