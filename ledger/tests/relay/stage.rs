//! A queue whose outbox the tests write, relays, and consumers of receipts.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upshot_ledger::{Relay, relay::GROUP};
use upshot_queue::JobId;
use upshot_runtime::{
    Health,
    amqp::{self, Address, History, Link, OUTCOMES},
};
use upshot_testkit::{TestRabbit, TestRedis, within};

pub const ROUTE: &str = "order.completed.v1:invoice.issue";

pub struct Stage {
    pub redis: TestRedis,
    pub health: Health,
    /// What the tests wrote: the ids of the receipts to come.
    expected: BTreeSet<String>,
}

/// A relay that runs.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        within("the relay stops", self.task).await.unwrap();
    }

    /// Ends it at once, as a kill does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Stage {
    pub async fn new() -> Self {
        let (_, url) = TestRabbit::get().await.vhost();
        Self::on(TestRedis::new("invoices").await, &url).await
    }

    pub async fn on(mut redis: TestRedis, rabbit: &str) -> Self {
        redis.settings.amqp.url = rabbit.into();
        let mut conn = redis.connector.connect().unwrap();
        let routes = redis.queue.keys().routes();
        redis::cmd("HSET").arg(routes).arg(ROUTE).arg(3).exec_async(&mut conn).await.unwrap();
        Self { redis, health: Health::default(), expected: BTreeSet::new() }
    }

    pub fn start(&self) -> Running {
        let stop = CancellationToken::new();
        let relay = Relay::new(&self.redis.settings, self.health.clone()).unwrap();
        Running { task: tokio::spawn(relay.run(stop.clone())), stop }
    }

    pub async fn link(&self) -> Link {
        let address = Address::from(&self.redis.settings.amqp);
        let link = amqp::connect(address, "test-consumer", u64::MAX).await.unwrap();
        amqp::declare(&link, History::of(&self.redis.settings.outcomes)).await.unwrap();
        link
    }

    /// A consumer of a queue of its own, bound with `key`.
    pub async fn consumer(&self, key: &str) -> Receipts {
        let link = self.link().await;
        let channel = link.create_channel().await.unwrap();
        let options = QueueDeclareOptions::durable();
        channel.queue_declare("receipts".into(), options, FieldTable::default()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel
            .queue_bind("receipts".into(), OUTCOMES.into(), key.into(), bind, FieldTable::default())
            .await
            .unwrap();
        Receipts::of(link, channel, "receipts", FieldTable::default()).await
    }

    /// Appends an entry to the outbox: fields as scripts write them.
    pub async fn append(&mut self, fields: &[(&str, &[&JobId])]) {
        let mut cmd = redis::cmd("XADD");
        cmd.arg(self.redis.queue.keys().outbox()).arg("*");
        for (field, jobs) in fields {
            let jobs: Vec<&str> = jobs.iter().map(|id| id.as_str()).collect();
            cmd.arg(*field).arg(jobs.join(" "));
        }
        let id: String = cmd.query_async(&mut self.redis.connector.connect().unwrap()).await.unwrap();
        for (field, jobs) in fields {
            let verdict = match field.rsplit_once('>').map_or("", |(_, to)| to) {
                "t" | "l" => "achieved",
                "m" => "missed",
                "v" => "overdue",
                "c" => "cancelled",
                "n" => "reopened",
                _ => continue,
            };
            self.expected.extend(jobs.iter().map(|job| format!("{id}:{job}:{verdict}")));
        }
    }

    /// The lives of jobs: each misses, begins again, is overdue no more, and is achieved.
    pub async fn lives(&mut self, jobs: usize) {
        let ids: Vec<JobId> = (0..jobs).map(|n| JobId::derive(&[&n.to_string()])).collect();
        for field in ["3|o>v", "3|v>m", "3|m>n", "3|n>t"] {
            for part in ids.chunks(7) {
                let part: Vec<&JobId> = part.iter().collect();
                self.append(&[("by", &[]), ("succeeded", &part), (field, &part)]).await;
            }
        }
    }

    /// Waits until the relay has acknowledged everything.
    pub async fn acknowledged(&self) {
        let done = async {
            loop {
                let outbox = self.redis.queue.outbox().await.unwrap();
                if outbox.groups.iter().any(|group| group.name == GROUP && group.lag == Some(0)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        within("the relay acknowledges everything", done).await;
    }

    /// Checks that nothing is missing, and that the receipts of each job are in order after
    /// repetitions are dropped.
    pub fn check(&self, receipts: &[Value]) {
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<&str, &str> = BTreeMap::new();
        for receipt in receipts {
            if !seen.insert(receipt["id"].as_str().unwrap().to_owned()) {
                continue;
            }
            let (job, sequence) = (&receipt["data"]["job"], receipt["sequence"].as_str().unwrap());
            let before = last.insert(job.as_str().unwrap(), sequence);
            assert!(before.is_none_or(|before| before < sequence), "{job}: {before:?} before {sequence}");
        }
        assert_eq!(seen, self.expected);
    }

    pub fn expected(&self) -> usize {
        self.expected.len()
    }

    pub async fn warned(&self, words: &str) {
        let warned = async {
            while !self.health.warnings().values().any(|why| why.contains(words)) {
                tokio::task::yield_now().await;
            }
        };
        within("a warning", warned).await;
    }

    pub async fn finish(self) {
        assert!(self.health.warnings().is_empty(), "{:?}", self.health.warnings());
        self.redis.finish().await;
    }
}

/// A consumer of receipts.
pub struct Receipts {
    pub link: Link,
    pub channel: Channel,
    consumer: Consumer,
}

impl Receipts {
    pub async fn of(link: Link, channel: Channel, queue: &str, arguments: FieldTable) -> Self {
        channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await.unwrap();
        Self { link, channel, consumer }
    }

    /// A reader of the history from its beginning.
    pub async fn history(stage: &Stage) -> Self {
        let link = stage.link().await;
        let channel = link.create_channel().await.unwrap();
        let mut from = FieldTable::default();
        from.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        Self::of(link, channel, amqp::HISTORY, from).await
    }

    /// The next receipt and its routing key.
    pub async fn next(&mut self) -> (String, Value) {
        let next = within("a receipt comes", self.consumer.next()).await;
        let delivery = next.unwrap().unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        let receipt: Value = serde_json::from_slice(&delivery.data).unwrap();
        let properties = &delivery.properties;
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/cloudevents+json");
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), receipt["id"]);
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), receipt["type"]);
        (delivery.routing_key.to_string(), receipt)
    }

    /// Receipts until so many different ones have come.
    pub async fn until(&mut self, different: usize) -> Vec<Value> {
        let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
        while ids.len() < different {
            let (_, receipt) = self.next().await;
            ids.insert(receipt["id"].as_str().unwrap().to_owned());
            all.push(receipt);
        }
        all
    }

    pub async fn close(self) {
        self.link.close().await;
    }
}
