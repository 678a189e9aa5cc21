//! The audit log, from a real Redis to a real RabbitMQ.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use futures::StreamExt;
use lapin::{
    Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upshot_access::{
    Identity, Right,
    acts::{Acts, Conclusion, Intent, Kept},
};
use upshot_bridge::acts::Copier;
use upshot_runtime::{
    Health,
    amqp::{self, AUDIT, Address, Link},
};
use upshot_servers::{RabbitOptions, RabbitServer};
use upshot_testkit::{TestRabbit, TestRedis, within};

struct Stage {
    redis: TestRedis,
    acts: Acts,
    health: Health,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        within("the copier stops", self.task).await.unwrap();
    }

    /// Ends it at once, as a kill does.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Stage {
    async fn on(rabbit: &str) -> Self {
        let mut redis = TestRedis::new("orders").await;
        redis.settings.amqp.url = rabbit.into();
        let of = &redis.settings.audit;
        let kept = Kept { time: of.keep, acts: of.keep_acts, refusals: of.keep_refusals };
        let acts = Acts::with_connection(redis.connector.connect().unwrap(), redis.connector.prefix(), kept);
        Self { redis, acts, health: Health::default() }
    }

    fn start(&self) -> Running {
        let stop = CancellationToken::new();
        let copier = Copier::new(&self.redis.settings, self.health.clone()).unwrap();
        Running { task: tokio::spawn(copier.run(stop.clone())), stop }
    }

    async fn act(&self, n: usize) {
        let intent = Intent {
            principal: Some(Identity::Token { id: "0f3a5b7c9d1e".to_owned(), name: "shop".to_owned() }),
            right: Some(Right::Retry),
            operation: "retry_job".to_owned(),
            target: [("id".to_owned(), format!("job-{n}"))].into(),
            ..Intent::default()
        };
        let begun = self.acts.intend(intent).await.unwrap();
        self.acts.conclude(&begun, Conclusion { status: 202, ..Conclusion::default() }).await.unwrap();
    }

    /// Waits until every entry is copied.
    async fn copied(&self) {
        let copied = async { while self.acts.figures().await.unwrap().uncopied > 0 {} };
        within("every entry is copied", copied).await;
    }

    async fn warned(&self) {
        let warned = async {
            while !self.health.warnings().values().any(|why| why.contains("wait in Redis")) {
                tokio::task::yield_now().await;
            }
        };
        within("a warning", warned).await;
    }

    /// The entries of the stream in RabbitMQ, until so many different ones have come.
    async fn stream(&self, different: usize) -> Vec<Value> {
        let (link, mut consumer) = self.consumer().await;
        let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
        while ids.len() < different {
            let delivery = within("an entry comes", consumer.next()).await.unwrap().unwrap();
            delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
            let event: Value = serde_json::from_slice(&delivery.data).unwrap();
            assert_eq!(delivery.properties.message_id().as_ref().unwrap().as_str(), event["id"]);
            assert_eq!(delivery.properties.kind().as_ref().unwrap().as_str(), event["type"]);
            if ids.insert(event["id"].as_str().unwrap().to_owned()) {
                all.push(event);
            }
        }
        link.close().await;
        all
    }

    async fn consumer(&self) -> (Link, Consumer) {
        let address = Address::from(&self.redis.settings.amqp);
        let link = amqp::connect(address, "test-consumer", u64::MAX).await.unwrap();
        let channel = link.create_channel().await.unwrap();
        channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
        let mut first = FieldTable::default();
        first.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(AUDIT.into(), "".into(), options, first).await.unwrap();
        (link, consumer)
    }

    async fn finish(self) {
        assert!(self.health.warnings().is_empty(), "{:?}", self.health.warnings());
        self.redis.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_copied_in_order_over_kills() {
    let (_, url) = TestRabbit::get().await.vhost();
    let stage = Stage::on(&url).await;
    for n in 0..150 {
        stage.act(n).await;
        if n % 50 == 0 {
            stage.start().kill().await;
        }
    }
    let refused = Conclusion { status: 403, ..Conclusion::default() };
    stage.acts.refused(Intent::default(), refused).await.unwrap();
    let copier = stage.start();
    stage.copied().await;
    let events = stage.stream(301).await;
    let of_kind = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let (intents, results) = (of_kind("upshot.act.intended.v1"), of_kind("upshot.act.concluded.v1"));
    assert_eq!((intents.len(), results.len(), of_kind("upshot.act.refused.v1").len()), (150, 150, 1));
    for (n, (intent, result)) in intents.iter().zip(&results).enumerate() {
        assert_eq!(intent["data"]["target"]["id"], format!("job-{n}"));
        assert_eq!(intent["data"]["id"], result["data"]["id"]);
        assert_eq!(
            (&intent["data"]["result"], &result["data"]["result"]),
            (&"pending".into(), &"done".into())
        );
        assert_eq!(result["data"]["by"], "token shop (0f3a5b7c9d1e)");
        assert_eq!(result["specversion"], "1.0");
    }
    copier.stop().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_continue_while_rabbitmq_is_away_and_arrive_later() {
    let folder = tempfile::tempdir().unwrap();
    let options = RabbitOptions { vhosts: vec!["audit".to_owned()], ..RabbitOptions::default() };
    let mut rabbit = RabbitServer::start(folder.path(), options).await.unwrap();
    let stage = Stage::on(&rabbit.url("audit")).await;
    let copier = stage.start();
    stage.act(0).await;
    stage.copied().await;
    let acting = async {
        stage.warned().await;
        for n in 1..20 {
            stage.act(n).await;
        }
    };
    let (restarted, ()) = futures::future::join(rabbit.restart(), acting).await;
    restarted.unwrap();
    stage.copied().await;
    assert_eq!(stage.stream(40).await.len(), 40);
    copier.stop().await;
    stage.finish().await;
    rabbit.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_copy_in_turns() {
    let (_, url) = TestRabbit::get().await.vhost();
    let stage = Stage::on(&url).await;
    let (one, other) = (stage.start(), stage.start());
    stage.act(0).await;
    stage.copied().await;
    one.stop().await;
    stage.act(1).await;
    stage.copied().await;
    other.stop().await;
    assert_eq!(stage.stream(4).await.len(), 4);
    stage.finish().await;
}
