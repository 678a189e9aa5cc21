//! Expectations of others: an event must be followed by another one in time.

use futures::StreamExt;
use lapin::{
    options::{BasicAckOptions, BasicConsumeOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use upshot_bridge::Bridge;
use upshot_executor::Jobs;
use upshot_queue::{Account, Client, Job, JobId, State};
use upshot_runtime::{
    Health, Settings,
    amqp::{self, Address, HISTORY},
    settings::QueueSettings,
};
use upshot_shared::{Expectation, event::Identity, expectation};
use upshot_testkit::{TestRedis, Worker, own_redis, within};

use crate::fixture::Stage;

/// An expectation of one event that another one follows, and a second one of the same event.
fn settings(within: &str) -> impl FnOnce(&mut Settings) {
    let text = format!(
        "[[expectations]]\nname = 'delivery'\nevent = 'order.completed.v1'\nwithin = '{within}'\n\
         achieved_by = {{ event = 'parcel.delivered.v1', match = '{{subject}}' }}\n\
         missed_by = {{ event = 'parcel.lost.v1', match = '{{subject}}', reason = 'lost: {{/why}}' }}\n\
         [[expectations]]\nname = 'payment'\nevent = 'order.completed.v1'\nwithin = '30d'\n\
         achieved_by = {{ event = 'order.paid.v1', match = '{{/order}}' }}\n"
    );
    move |settings| {
        settings.expectations = toml::from_str::<Settings>(&text).unwrap().expectations;
        settings.queues.insert(expectation::queue(), QueueSettings::default());
    }
}

struct Expecting {
    stage: Stage,
    queue: Client,
    worker: Worker,
}

impl Expecting {
    async fn new(within: &str) -> Self {
        Self::on(TestRedis::new("orders").await, within).await
    }

    async fn on(redis: TestRedis, within: &str) -> Self {
        let stage = Stage::with(redis, settings(within)).await;
        let queue = Client::new(&stage.redis.connector, expectation::queue()).unwrap();
        let worker = stage.redis.worker(Jobs::new()).await;
        Self { stage, queue, worker }
    }

    fn job_of(&self, name: &str, id: &str) -> JobId {
        let of_name = |expectation: &&Expectation| expectation.name == name;
        let expectation = self.stage.redis.settings.expectations.iter().find(of_name).unwrap();
        expectation.route().job_id("/shop", Identity::Id(id))
    }

    async fn publish(&self, kind: &str, id: &str, data: &Value) {
        let event = json!({"specversion": "1.0", "id": id, "source": "/shop", "type": kind, "tenant": "acme",
            "subject": "order-1", "data": data});
        self.stage.publish(&event).await;
    }

    async fn order(&self, id: &str) {
        self.publish("order.completed.v1", id, &json!({"total": 9})).await;
    }

    /// The job, once it is in this state and account.
    async fn until(&self, id: &JobId, state: State, account: Account) -> Job {
        let is_there = |job: &Job| {
            job.state == state && job.expectation.is_some_and(|expectation| expectation.account == account)
        };
        let reading = async {
            loop {
                if let Some(job) = self.queue.job(id).await.unwrap().filter(is_there) {
                    return job;
                }
            }
        };
        within(&format!("the job is {state:?} and {account:?}"), reading).await
    }

    /// The verdicts that the receipts tell of the subject's deliveries, in order.
    async fn receipts(&self, count: usize) -> Vec<String> {
        let address = Address::of_url(&self.stage.amqp);
        let link = amqp::connect(address, "test-receipts", u64::MAX).await.unwrap();
        let channel = link.create_channel().await.unwrap();
        channel.basic_qos(100, lapin::options::BasicQosOptions::default()).await.unwrap();
        let mut from = FieldTable::default();
        from.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(HISTORY.into(), "".into(), options, from).await.unwrap();
        let reading = async {
            let mut told = Vec::new();
            while told.len() < count {
                let receipt = consumer.next().await.unwrap().unwrap();
                receipt.acker.ack(BasicAckOptions::default()).await.unwrap();
                let receipt: Value = serde_json::from_slice(&receipt.data).unwrap();
                if receipt["data"]["route"] == "delivery" {
                    told.push(receipt["type"].as_str().unwrap().to_owned());
                }
            }
            told
        };
        let told = within("the receipts come", reading).await;
        link.close().await;
        told
    }

    async fn finish(self) {
        self.worker.stop().await;
        // The open accounts are the jobs that have not ended.
        assert_eq!(self.queue.balance().await.unwrap().drifts(), []);
        self.stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_event_achieves_what_an_event_expects() {
    let expecting = Expecting::new("5d").await;
    // A resend is found by its id.
    for _ in 0..2 {
        expecting.order("1").await;
    }
    let (delivery, payment) = (expecting.job_of("delivery", "1"), expecting.job_of("payment", "1"));
    let waits = expecting.until(&delivery, State::Parked, Account::Awaiting).await;
    assert_eq!((waits.kind.as_str(), waits.subject.as_deref()), ("expect", Some("order-1")));
    assert_eq!(waits.tenant.as_deref(), Some("acme"));
    expecting.until(&payment, State::Parked, Account::Awaiting).await;
    for _ in 0..2 {
        expecting.publish("parcel.delivered.v1", "2", &json!({})).await;
    }
    let done = expecting.until(&delivery, State::Succeeded, Account::AchievedInTime).await;
    let outcome = done.outcome.unwrap().to_string();
    for fact in ["order.completed.v1", "parcel.delivered.v1", "/shop 2", "delivery order-1"] {
        assert!(outcome.contains(fact), "`{fact}` is not in: {outcome}");
    }
    assert_eq!(expecting.receipts(1).await, ["upshot.outcome.achieved.v1"]);
    // The other expectation of the same event still waits.
    expecting.until(&payment, State::Parked, Account::Awaiting).await;
    let counts = expecting.queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Parked), counts.of(State::Succeeded)), (1, 1), "{counts:?}");
    Box::pin(expecting.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_first_achieves_at_once() {
    let expecting = Expecting::new("5d").await;
    expecting.publish("parcel.delivered.v1", "2", &json!({})).await;
    expecting.order("1").await;
    let delivery = expecting.job_of("delivery", "1");
    expecting.until(&delivery, State::Succeeded, Account::AchievedInTime).await;
    Box::pin(expecting.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_says_the_opposite_makes_it_missed() {
    let expecting = Expecting::new("5d").await;
    expecting.order("1").await;
    let delivery = expecting.job_of("delivery", "1");
    expecting.until(&delivery, State::Parked, Account::Awaiting).await;
    expecting.publish("parcel.lost.v1", "2", &json!({"why": "the ship sank"})).await;
    let dead = expecting.until(&delivery, State::Dead, Account::Missed).await;
    let said = format!("{:?}", dead.history);
    assert!(said.contains("lost: the ship sank"), "{said}");
    // What comes after a verdict and contradicts it is on record, and changes nothing.
    expecting.publish("parcel.delivered.v1", "3", &json!({})).await;
    let contradicted = async { while expecting.queue.counts().await.unwrap().signals.contradictions == 0 {} };
    within("the contradiction is counted", contradicted).await;
    expecting.until(&delivery, State::Dead, Account::Missed).await;
    assert_eq!(expecting.receipts(1).await, ["upshot.outcome.missed.v1"]);
    Box::pin(expecting.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_makes_it_missed_and_a_late_event_heals() {
    let expecting = Expecting::new("1s").await;
    expecting.order("1").await;
    let delivery = expecting.job_of("delivery", "1");
    let dead = expecting.until(&delivery, State::Dead, Account::Missed).await;
    assert!(format!("{:?}", dead.history).contains("delivery order-1"), "{:?}", dead.history);
    expecting.publish("parcel.delivered.v1", "2", &json!({})).await;
    expecting.until(&delivery, State::Succeeded, Account::AchievedLate).await;
    let told = expecting.receipts(2).await;
    assert!(told.contains(&"upshot.outcome.missed.v1".to_owned()), "{told:?}");
    Box::pin(expecting.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expectations_survive_restarts_of_bridge_executor_and_redis_being_away() {
    let server = own_redis().await;
    let expecting = Expecting::on(TestRedis::on(&server.url(), "test", "orders"), "5d").await;
    expecting.order("1").await;
    let delivery = expecting.job_of("delivery", "1");
    expecting.until(&delivery, State::Parked, Account::Awaiting).await;
    let Expecting { stage, queue, worker } = expecting;
    worker.stop().await;
    server.pause().unwrap();
    let event = json!({"specversion": "1.0", "id": "2", "source": "/parcels", "type": "parcel.delivered.v1",
        "tenant": "acme", "subject": "order-1"});
    stage.publish(&event).await;
    // The bridge dies with the event in hand; nothing runs.
    stage.running.abort();
    server.resume().unwrap();
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    // No executor is needed for the end.
    let ended = async {
        while queue.job(&delivery).await.ok().flatten().is_none_or(|job| job.state != State::Succeeded) {}
    };
    within("the expectation is achieved", ended).await;
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    stage.publisher.close().await;
    stage.redis.finish().await;
    server.stop().await.unwrap();
}
