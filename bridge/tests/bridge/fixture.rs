//! One bridge with a virtual host and a key prefix of its own.

use futures::StreamExt;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use upshot_bridge::Bridge;
use upshot_queue::{Condition, JobId, Signal};
use upshot_runtime::{
    Health, Settings,
    amqp::{self, Address, CONFIRMATIONS, EVENTS, INTAKE, Publisher, QUARANTINE},
    health::{REDIS, watch_redis},
};
use upshot_shared::{
    Route,
    event::{Identity, STRUCTURED},
};
use upshot_testkit::{PATIENCE, TestRabbit, TestRedis, within};

const CONTRACT: &str =
    r#"{"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}"#;

/// One bridge with a virtual host and a key prefix of its own.
pub struct Stage {
    pub redis: TestRedis,
    pub amqp: String,
    pub publisher: Publisher,
    pub health: Health,
    pub route: Route,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
    _watching: AbortOnDropHandle<()>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::on(TestRedis::new("orders").await).await
    }

    pub async fn on(redis: TestRedis) -> Self {
        Self::with(redis, |_| {}).await
    }

    /// The same with further settings.
    pub async fn with(mut redis: TestRedis, more: impl FnOnce(&mut Settings)) -> Self {
        let (_, amqp) = TestRabbit::get().await.vhost();
        let route = Route::new("order.placed.v1", "order.book", redis.queue.name().clone(), PATIENCE);
        redis.settings.amqp.url = amqp.clone().into();
        redis.settings.routes = vec![route.clone()];
        redis.settings.contracts.built_in = vec![("order.placed.v1", CONTRACT)];
        more(&mut redis.settings);
        let publisher = Publisher::new(Address::of_url(&amqp), "test", true, PATIENCE);
        publisher.check().await.unwrap();
        let (health, stop) =
            (Health::needing(&["intake", "confirmations", "rabbitmq", REDIS]), CancellationToken::new());
        let watch = watch_redis(redis.connector.clone(), health.clone());
        let watching = AbortOnDropHandle::new(tokio::spawn(watch));
        let bridge = Bridge::new(&redis.settings, health.clone()).unwrap();
        let running = tokio::spawn(bridge.run(stop.clone()));
        within("the bridge consumes", health.wait_for(&["intake", "confirmations", "rabbitmq"])).await;
        Self { redis, amqp, publisher, health, route, stop, running, _watching: watching }
    }

    pub async fn publish(&self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or("unknown");
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        let body = event.to_string();
        self.publisher.publish(EVENTS, kind, body.as_bytes(), properties, true).await.unwrap();
    }

    /// Publishes a confirmation as a plain body.
    pub async fn confirm(&self, body: &str) {
        let properties = BasicProperties::default().with_content_type("application/json".into());
        self.publisher.publish(CONFIRMATIONS, "any", body.as_bytes(), properties, true).await.unwrap();
    }

    /// The signal that the queue keeps for a key, once it is there.
    pub async fn signal(&self, key: &str) -> Signal {
        let condition = Condition::new(None, key).unwrap();
        let reading = async {
            loop {
                // Redis may be away for a while.
                if let Ok(Some(signal)) = self.redis.queue.kept_signal(&condition).await {
                    return signal;
                }
            }
        };
        within("the signal is kept", reading).await
    }

    pub fn job_of(&self, id: &str) -> JobId {
        self.route.job_id("/shop", Identity::Id(id))
    }

    /// The next messages in quarantine.
    pub async fn taken(&self, count: usize) -> Vec<Delivery> {
        let connection =
            amqp::connect(Address::of_url(&self.amqp), "test-quarantine", u64::MAX).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(QUARANTINE.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap();
        let taken = within("events come to quarantine", consumer.take(count).collect::<Vec<_>>()).await;
        let taken: Vec<Delivery> = taken.into_iter().map(Result::unwrap).collect();
        for delivery in &taken {
            delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        }
        connection.close().await;
        taken
    }

    /// The reasons of the next messages in quarantine.
    pub async fn quarantined(&self, count: usize) -> Vec<String> {
        let reason = |delivery: &Delivery| {
            let headers = delivery.properties.headers().as_ref().unwrap().inner();
            headers["x-upshot-reason"].as_long_string().unwrap().to_string()
        };
        self.taken(count).await.iter().map(reason).collect()
    }

    /// Stops the bridge. Nothing may be left in the intake or in quarantine.
    pub async fn finish(self) {
        self.stop.cancel();
        within("the bridge stops", self.running).await.unwrap();
        self.publisher.close().await;
        for queue in [INTAKE, CONFIRMATIONS, QUARANTINE] {
            assert_eq!(waiting_in(&self.amqp, queue).await, 0, "the test leaves messages in {queue}");
        }
        self.redis.finish().await;
    }
}

/// Messages that wait in a queue, and are with no consumer.
pub async fn waiting_in(amqp: &str, queue: &str) -> u32 {
    let connection = amqp::connect(Address::of_url(amqp), "test-count", u64::MAX).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    let count = declared.message_count();
    connection.close().await;
    count
}

pub fn order(id: &str, number: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order.placed.v1", "subject": id,
        "data": {"number": number}})
}
