//! What fails delays receipts, and loses none.

use std::time::Duration;

use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::{AMQPValue, FieldTable},
};
use upshot_queue::Connector;
use upshot_runtime::amqp::OUTCOMES;
use upshot_servers::{RabbitOptions, RabbitServer};
use upshot_testkit::{TestRedis, own_redis};

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_refuses_waits_and_comes_in_order() {
    let mut stage = Stage::new().await;
    let mut consumer = stage.consumer("#").await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(3));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions::durable();
    consumer.channel.queue_declare("full".into(), options, arguments).await.unwrap();
    let bind = QueueBindOptions::default();
    consumer
        .channel
        .queue_bind("full".into(), OUTCOMES.into(), "#".into(), bind, FieldTable::default())
        .await
        .unwrap();
    stage.lives(5).await;
    let relay = stage.start();
    stage.warned("RabbitMQ refuses receipts").await;
    let unbind =
        consumer.channel.queue_unbind("full".into(), OUTCOMES.into(), "#".into(), FieldTable::default());
    unbind.await.unwrap();
    stage.acknowledged().await;
    let receipts = consumer.until(stage.expected()).await;
    stage.check(&receipts);
    relay.stop().await;
    consumer.channel.queue_purge("full".into(), QueuePurgeOptions::default()).await.unwrap();
    consumer.close().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_may_restart_and_redis_may_freeze() {
    let folder = tempfile::tempdir().unwrap();
    let options = RabbitOptions { vhosts: vec!["receipts".to_owned()], ..RabbitOptions::default() };
    let mut rabbit = RabbitServer::start(folder.path(), options).await.unwrap();
    let server = own_redis().await;
    let mut redis = TestRedis::on(&server.url(), "test", "invoices");
    redis.settings.redis.response_timeout = Duration::from_secs(1);
    let mut stage = Stage::on(redis, &rabbit.url("receipts")).await;
    let consumer = stage.consumer("#").await;
    consumer.close().await;
    let relay = stage.start();
    stage.lives(20).await;
    stage.acknowledged().await;
    rabbit.kill().await.unwrap();
    stage.lives(20).await;
    stage.warned("receipts wait in Redis").await;
    rabbit.restart().await.unwrap();
    stage.acknowledged().await;
    server.pause().unwrap();
    let connector = Connector::new(stage.redis.settings.redis.options()).unwrap();
    let asked = redis::cmd("PING").exec_async(&mut connector.connect().unwrap()).await;
    assert!(asked.is_err(), "Redis is frozen");
    server.resume().unwrap();
    stage.lives(20).await;
    stage.acknowledged().await;
    let mut consumer = stage.consumer("#").await;
    let receipts = consumer.until(stage.expected()).await;
    stage.check(&receipts);
    relay.stop().await;
    consumer.close().await;
    stage.finish().await;
    rabbit.stop().await.unwrap();
    server.stop().await.unwrap();
}
