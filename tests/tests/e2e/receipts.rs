//! A producer publishes an order, and receives its receipt.

use std::collections::BTreeMap;

use futures::StreamExt;
use lapin::{
    options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use upshot_runtime::{
    amqp::{self, History, OUTCOMES},
    settings::OutcomesSettings,
};
use upshot_tests::{PATIENCE, Stage, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_is_told_what_became_of_its_orders() {
    let stage = Stage::new().await;
    // What any producer does: a queue of its own, bound for all receipts.
    let link = amqp::connect(amqp::Address::of_url(&stage.amqp), "shop", u64::MAX).await.unwrap();
    amqp::declare(&link, History::of(&OutcomesSettings::default())).await.unwrap();
    let channel = link.create_channel().await.unwrap();
    let (durable, nothing) = (QueueDeclareOptions::durable(), FieldTable::default);
    channel.queue_declare("shop.receipts".into(), durable, nothing()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind("shop.receipts".into(), OUTCOMES.into(), "#".into(), bind, nothing()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume("shop.receipts".into(), "".into(), options, nothing()).await.unwrap();

    // This bridge accepts what the shipped contract does not.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.completed.v1.schema.json"), "{}").unwrap();
    let lenient = ("UPSHOT_CONTRACTS__DIR", folder.path().display().to_string());
    let bridge = stage.start("bridge", &[lenient]).await;
    let executor = stage.start("executor", &[]).await;
    let (good, mut bad) = (order(1), order(2));
    bad["data"]["customer"]["email"] = json!("ada..b@customers.example");
    for event in [&good, &bad] {
        stage.publish(event).await;
    }
    let mut receipts: BTreeMap<String, (String, Value)> = BTreeMap::new();
    while receipts.len() < 2 {
        let next = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("no receipt came");
        let delivery = next.unwrap().unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        let receipt: Value = serde_json::from_slice(&delivery.data).unwrap();
        let cause = receipt["data"]["event"]["id"].as_str().unwrap().to_owned();
        receipts.insert(cause, (delivery.routing_key.to_string(), receipt));
    }
    let (key, achieved) = &receipts[good["id"].as_str().unwrap()];
    assert_eq!(key, "order.completed.v1:invoice.issue.achieved");
    assert_eq!(achieved["type"], "upshot.outcome.achieved.v1");
    assert_eq!((&achieved["subject"], &achieved["data"]["in_time"]), (&good["subject"], &json!(true)));
    assert_eq!(achieved["data"]["job"], stage.job_of(&good).as_str());
    assert!(achieved["data"]["evidence"][0]["sha256"].is_string(), "{achieved}");
    let (key, missed) = &receipts[bad["id"].as_str().unwrap()];
    assert_eq!(key, "order.completed.v1:invoice.issue.missed");
    assert_eq!(missed["data"]["reason"]["class"], "permanent", "{missed}");
    assert!(!achieved.to_string().contains("Lindenstra"), "a receipt has no arguments");
    for process in [bridge, executor] {
        process.stop().await;
    }
    link.close().await;
    stage.finish().await;
}
