//! RabbitMQ is frozen, full or under an alarm: everybody is told at once, nothing piles up, and
//! what was answered with "not published" is not published later.

use lapin::{
    BasicProperties,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use upshot_runtime::amqp::{self, QUARANTINE};
use upshot_servers::{RabbitOptions, RabbitServer};
use upshot_shared::event::STRUCTURED;
use upshot_tests::{Process, Stage, orders::order};

async fn post(client: &reqwest::Client, api: &str, event: &Value) -> (u16, Value) {
    let request = client.post(format!("{api}/v1/events")).header("content-type", STRUCTURED);
    let response = request.body(event.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Threads and open files of a process.
fn held(process: &Process) -> (usize, usize) {
    let pid = process.pid();
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    (count("task"), count("fd"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_rabbitmq_costs_the_api_nothing_but_its_events() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let options = RabbitOptions { vhosts: vec!["own".into()], ephemeral: true, ..RabbitOptions::default() };
    let rabbit = RabbitServer::start(&folder.path().join("rabbit"), options).await.unwrap();
    let (api, url) = stage.start_api_with(&[("UPSHOT_AMQP_URL", rabbit.url("own"))]).await;
    let client = reqwest::Client::new();
    assert_eq!(post(&client, &url, &order(1)).await.0, 202);
    let before = held(&api);
    rabbit.pause().unwrap();
    let posts = (2..200).map(|n| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { post(&client, &url, &order(n)).await })
    });
    let posts: Vec<_> = posts.collect();
    // Other requests are answered in the meantime.
    for _ in 0..20 {
        for path in ["/healthz", "/v1/queues", "/metrics"] {
            assert_eq!(client.get(format!("{url}{path}")).send().await.unwrap().status(), 200, "{path}");
        }
    }
    for answered in posts {
        let (status, problem) = answered.await.unwrap();
        assert_eq!(status, 503, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("not published") || detail.contains("under the same id"), "{detail}");
    }
    api.logged(&["waiting", "rabbitmq"]).await;
    let after = held(&api);
    assert!(after.0 <= before.0 + 8, "threads: {before:?}, then {after:?}");
    rabbit.resume().unwrap();
    api.logged(&["works again", "rabbitmq"]).await;
    assert_eq!(post(&client, &url, &order(300)).await.0, 202);
    api.stop().await;
    rabbit.stop().await.unwrap();
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quarantine_holds_up_no_good_event_and_takes_more_once_there_is_room() {
    let stage = Stage::new().await;
    let operator =
        amqp::connect(amqp::Address::of_url(&stage.amqp), "test-operator", u64::MAX).await.unwrap();
    let channel = operator.create_channel().await.unwrap();
    channel.queue_delete(QUARANTINE.into(), Default::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(2));
    channel.queue_declare(QUARANTINE.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    channel
        .queue_bind(
            QUARANTINE.into(),
            QUARANTINE.into(),
            "".into(),
            Default::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let bridge = stage.start("bridge", &[]).await;
    for n in 0..30 {
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        stage.publish_raw("t", format!("bad {n}").as_bytes(), properties).await;
    }
    bridge.logged(&["waiting", "quarantine"]).await;
    for n in 1..=30 {
        stage.publish(&order(n)).await;
    }
    for n in 1..=30 {
        stage.enqueued(&stage.job_of(&order(n))).await;
    }
    // As often as there is room, bad ones come.
    let mut kept = 0;
    while kept < 30 {
        kept += stage.quarantined(1).await.len();
    }
    bridge.logged(&["works again", "quarantine"]).await;
    bridge.stop().await;
    operator.close().await;
    stage.finish().await;
}
