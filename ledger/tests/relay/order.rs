//! Every receipt comes, in order per job, whoever relays.

use std::collections::BTreeSet;

use upshot_queue::JobId;

use crate::stage::{ROUTE, Receipts, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn receipts_come_in_order_and_the_history_keeps_them() {
    let mut stage = Stage::new().await;
    let mut consumer = stage.consumer("#").await;
    stage.lives(40).await;
    let relay = stage.start();
    let receipts = consumer.until(stage.expected()).await;
    assert_eq!(receipts.len(), stage.expected(), "nothing comes twice without a fault");
    stage.check(&receipts);
    stage.acknowledged().await;
    relay.stop().await;
    let mut history = Receipts::history(&stage).await;
    let kept = history.until(stage.expected()).await;
    stage.check(&kept);
    history.close().await;
    consumer.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_binds_by_verdict_and_hostile_names_do_no_harm() {
    let mut stage = Stage::new().await;
    let mut consumer = stage.consumer("#.missed").await;
    let routes = stage.redis.queue.keys().routes();
    let hostile = "#.*\u{202e}\n\0\"}{".to_owned() + &"x.".repeat(300);
    let mut conn = stage.redis.connector.connect().unwrap();
    redis::cmd("HSET").arg(routes).arg(&hostile).arg(4).exec_async(&mut conn).await.unwrap();
    let id = JobId::derive(&["a"]);
    stage.append(&[("3|o>v", &[&id]), ("0|o>m", &[&id])]).await;
    stage.append(&[("4|o>m", &[&id])]).await;
    stage.append(&[("9|o>m", &[&id])]).await;
    stage.append(&[("3|v>m", &[&id])]).await;
    let relay = stage.start();
    let (key, receipt) = consumer.next().await;
    assert!(key.starts_with("_._") && key.ends_with(".missed") && key.len() < 256, "{key}");
    assert_eq!(receipt["data"]["route"], hostile);
    let (key, receipt) = consumer.next().await;
    assert_eq!((key.as_str(), &receipt["data"]["route"]), ("unknown.missed", &"unknown".into()));
    let (key, receipt) = consumer.next().await;
    assert_eq!(key, format!("{ROUTE}.missed"));
    assert_eq!((&receipt["data"]["job"], &receipt["data"]["kind"]), (&id.as_str().into(), &().into()));
    relay.stop().await;
    consumer.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_is_followed_by_another_with_the_same_ids() {
    let mut stage = Stage::new().await;
    let mut consumer = stage.consumer("#").await;
    stage.lives(200).await;
    let relay = stage.start();
    // Some are published, and their entries perhaps not acknowledged.
    let mut receipts = consumer.until(150).await;
    relay.kill().await;
    let relay = stage.start();
    let seen: BTreeSet<String> =
        receipts.iter().map(|receipt| receipt["id"].as_str().unwrap().to_owned()).collect();
    let mut missing = stage.expected() - seen.len();
    let mut known = seen;
    while missing > 0 {
        let (_, receipt) = consumer.next().await;
        if known.insert(receipt["id"].as_str().unwrap().to_owned()) {
            missing -= 1;
        }
        receipts.push(receipt);
    }
    stage.check(&receipts);
    stage.acknowledged().await;
    relay.stop().await;
    consumer.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_relays_one_works_and_the_other_takes_over() {
    let mut stage = Stage::new().await;
    let mut consumer = stage.consumer("#").await;
    let (first, second) = (stage.start(), stage.start());
    stage.lives(30).await;
    let mut receipts = consumer.until(stage.expected()).await;
    assert_eq!(receipts.len(), stage.expected(), "one of them relays");
    first.stop().await;
    stage.lives(30).await;
    receipts.extend(consumer.until(stage.expected() - receipts.len()).await);
    assert_eq!(receipts.len(), stage.expected());
    stage.check(&receipts);
    stage.acknowledged().await;
    second.stop().await;
    consumer.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_receipts_the_group_is_dropped() {
    let mut stage = Stage::new().await;
    stage.lives(3).await;
    let relay = stage.start();
    stage.acknowledged().await;
    relay.stop().await;
    stage.redis.settings.outcomes.receipts = false;
    // It ends by itself.
    let relay = stage.start();
    relay.stop().await;
    let dropped = async { while !stage.redis.queue.outbox().await.unwrap().groups.is_empty() {} };
    upshot_testkit::within("the group is dropped", dropped).await;
    stage.finish().await;
}
