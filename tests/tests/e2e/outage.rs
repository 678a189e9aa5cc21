//! RabbitMQ, Redis or the mail server go away and come back: nothing is lost,
//! no process ends.

use serde_json::Value;
use tokio::net::TcpListener;
use upshot_queue::State;
use upshot_servers::Proxy;
use upshot_testkit::{TestRabbit, shared_redis};
use upshot_tests::{Stage, orders::order};

async fn probe(address: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}/readyz")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_outlives_redis_and_rabbitmq_and_loses_no_event() {
    let stage = Stage::new().await;
    let server = TestRabbit::get().await.server();
    let redis = Proxy::start(shared_redis().await.port()).await.unwrap();
    let rabbit = Proxy::start(server.port()).await.unwrap();
    let probes = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let bridge = stage
        .start(
            "bridge",
            &[
                ("UPSHOT_REDIS_URL", format!("redis://127.0.0.1:{}", redis.port())),
                ("UPSHOT_AMQP_URL", server.url_via(rabbit.port(), &stage.vhost)),
                ("UPSHOT_PROBES__LISTEN", probes.clone()),
            ],
        )
        .await;
    let executor = stage.start("executor", &[]).await;
    let events: Vec<Value> = (1..=40).map(order).collect();
    let first = stage.job_of(&events[0]);
    stage.publish(&events[0]).await;
    stage.succeeded(&first).await;
    assert_eq!(probe(&probes).await.0, 200);

    // Redis away: events are taken, none is acknowledged, the bridge says why.
    redis.refuse().await;
    redis.cut().await;
    for event in &events[1..20] {
        stage.publish(event).await;
    }
    bridge.logged(&["waiting", "redis"]).await;
    let (status, why) = probe(&probes).await;
    assert_eq!(status, 503);
    assert!(why.contains("redis"), "{why}");
    redis.heal().await;
    for event in &events[1..20] {
        stage.succeeded(&stage.job_of(event)).await;
    }

    // RabbitMQ away: the bridge starts over; what was unacknowledged comes again.
    rabbit.cut().await;
    rabbit.refuse().await;
    rabbit.cut().await;
    for event in &events[20..] {
        stage.publish(event).await;
    }
    bridge.logged(&["waiting", "intake"]).await;
    rabbit.heal().await;
    for event in &events[20..] {
        stage.succeeded(&stage.job_of(event)).await;
    }
    bridge.logged(&["works again", "intake"]).await;
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!(counts.transitions("enqueued"), 40);
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_outlives_redis() {
    let stage = Stage::new().await;
    let redis = Proxy::start(shared_redis().await.port()).await.unwrap();
    let bridge = stage.start("bridge", &[]).await;
    let through = [("UPSHOT_REDIS_URL", format!("redis://127.0.0.1:{}", redis.port()))];
    let executor = stage.start("executor", &through).await;
    executor.logged(&["working by this configuration"]).await;
    redis.refuse().await;
    redis.cut().await;
    let event = order(1);
    stage.publish(&event).await;
    executor.logged(&["nothing claimed"]).await;
    redis.heal().await;
    stage.succeeded(&stage.job_of(&event)).await;
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_mail_server_away_the_job_waits_and_says_why() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.mail.port()).await.unwrap();
    proxy.refuse().await;
    let (api, url) = stage.start_api().await;
    let bridge = stage.start("bridge", &[]).await;
    let through = [("UPSHOT_SMTP__URL", format!("smtp://127.0.0.1:{}", proxy.port()))];
    let executor = stage.start("executor", &through).await;
    let event = order(1);
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    stage.until(&id, |job| job.state == State::Scheduled && !job.history.is_empty()).await;
    let job: Value = reqwest::get(format!("{url}/v1/jobs/{id}")).await.unwrap().json().await.unwrap();
    let said = job["history"].to_string();
    assert!(said.contains("transient") && said.contains("mail server"), "{job}");
    proxy.heal().await;
    let done = stage.succeeded(&id).await;
    assert!(done.attempts >= 2);
    assert_eq!(stage.mail.messages().unwrap().len(), 1);
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_wait_for_servers_that_are_not_there_yet() {
    let stage = Stage::new().await;
    let server = TestRabbit::get().await.server();
    let redis = Proxy::start(shared_redis().await.port()).await.unwrap();
    let rabbit = Proxy::start(server.port()).await.unwrap();
    redis.refuse().await;
    rabbit.refuse().await;
    let mut variables = stage.variables();
    variables.push(("UPSHOT_REDIS_URL".into(), format!("redis://127.0.0.1:{}", redis.port())));
    variables.push(("UPSHOT_AMQP_URL".into(), server.url_via(rabbit.port(), &stage.vhost)));
    let bridge = upshot_tests::Process::start(&["bridge"], &variables).await;
    bridge.logged(&["waiting", "intake"]).await;
    let executor = upshot_tests::Process::start(&["executor"], &variables).await;
    executor.logged(&["nothing claimed"]).await;
    redis.heal().await;
    rabbit.heal().await;
    let event = order(1);
    stage.publish(&event).await;
    stage.succeeded(&stage.job_of(&event)).await;
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

/// A node that is frozen keeps its connections, and accepts new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_of_rabbitmq_is_left_for_the_next_one() {
    let stage = Stage::new().await;
    let port = TestRabbit::get().await.server().port();
    let (first, second) = (Proxy::start(port).await.unwrap(), Proxy::start(port).await.unwrap());
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
    let url = stage.amqp.replace(&format!("127.0.0.1:{port}"), &hosts);
    assert_ne!(url, stage.amqp);
    let bridge = stage.start("bridge", &[("UPSHOT_AMQP_URL", url)]).await;
    assert!(first.connections() > 0 && second.connections() == 0, "the first host is used");
    first.blackhole().await;
    stage.publish(&order(1)).await;
    stage.enqueued(&stage.job_of(&order(1))).await;
    assert!(second.connections() > 0);
    bridge.stop().await;
    stage.finish().await;
}
