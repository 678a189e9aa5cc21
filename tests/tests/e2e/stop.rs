//! A stop in good order ends, also while Redis or RabbitMQ are frozen. How long
//! that takes is not measured here: the limits are tested where they stand.

use upshot_queue::connect::info;
use upshot_servers::{
    RedisOptions, RedisServer,
    signal::{self, Signal},
};
use upshot_tests::{Process, Stage, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn every_service_stops_while_redis_is_frozen() {
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    let redis = RedisServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap();
    let stage = Stage::on(&redis.url()).await;
    let bridge = stage.start("bridge", &[]).await;
    // No server listens there: the job repeats its attempts.
    let nowhere = [("UPSHOT_SMTP__URL", "smtp://127.0.0.1:1".to_owned())];
    let executor = stage.start("executor", &nowhere).await;
    let (api, _) = stage.start_api().await;
    stage.publish(&order(1)).await;
    executor.logged(&["attempt failed"]).await;
    redis.pause().unwrap();
    // The bridge has a batch that Redis does not take.
    stage.publish(&order(2)).await;
    tokio::join!(bridge.stop(), executor.stop(), api.stop());
    redis.resume().unwrap();
    // What was not taken over is there for the next bridge.
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    for number in [1, 2] {
        stage.succeeded(&stage.job_of(&order(number))).await;
    }
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn up_stops_while_its_servers_are_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let variables: Vec<(String, String)> = [
        ("UPSHOT_DATA_DIR", folder.path().join("data").display().to_string()),
        ("UPSHOT_API__LISTEN", "127.0.0.1:0".to_owned()),
        ("UPSHOT_LOG__FORMAT", "json".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let up = Process::start(&["up"], &variables).await;
    up.logged(&["Upshot is up"]).await;
    let read = |file: &str| std::fs::read_to_string(folder.path().join("data").join(file)).unwrap();
    let note: serde_json::Value = serde_json::from_str(&read("up.json")).unwrap();
    let redis = redis::Client::open(note["redis"].as_str().unwrap()).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let told: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await.unwrap();
    for pid in [info(&told, "process_id").unwrap(), read("rabbitmq/node.pid").trim()] {
        signal::send(pid.parse().unwrap(), Signal::Stop).unwrap();
    }
    up.stop().await;
}
