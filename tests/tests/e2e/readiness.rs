//! What services say of a Redis that answers and does not do what it should.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use upshot_queue::connect::info;
use upshot_servers::{RedisOptions, RedisServer};
use upshot_tests::{PATIENCE, Process, Stage, orders::order};

async fn own_redis() -> RedisServer {
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    RedisServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap()
}

/// A service and where it answers probes.
struct Service {
    process: Process,
    probes: String,
}

impl Service {
    async fn start(stage: &Stage, service: &str, more: &[(&str, String)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let key = if service == "api" { "UPSHOT_API__LISTEN" } else { "UPSHOT_PROBES__LISTEN" };
        let variables =
            [more, &[(key, free.to_string()), ("UPSHOT_LOG__FILTER", "info,lapin=off".to_owned())]].concat();
        Self { process: stage.start(service, &variables).await, probes: format!("http://{free}") }
    }

    /// Asks until the service is ready or not, as an orchestrator does, and it says these words.
    async fn until(&self, status: u16, words: &[&str]) -> Value {
        let mut last = String::new();
        let asking = async {
            let mut interval = tokio::time::interval(Duration::from_millis(50));
            loop {
                interval.tick().await;
                let Ok(answer) = reqwest::get(format!("{}/readyz", self.probes)).await else { continue };
                let found = answer.status().as_u16();
                last = answer.text().await.unwrap();
                if found == status && words.iter().all(|word| last.contains(word)) {
                    return serde_json::from_str(&last).unwrap();
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, asking).await;
        found.unwrap_or_else(|_| panic!("never {status} with {words:?}: {last}\n{}", self.process.tail()))
    }

    async fn metric(&self, line: &str) -> bool {
        let text = reqwest::get(format!("{}/metrics", self.probes)).await.unwrap().text().await.unwrap();
        text.lines().any(|each| each == line)
    }
}

async fn say(stage: &Stage, words: &[&str]) -> redis::Value {
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut stage.redis_connection()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_is_named_once_and_readiness_says_why() {
    let redis = own_redis().await;
    let stage = Stage::on(&redis.url()).await;
    let bridge = Service::start(&stage, "bridge", &[]).await;
    let executor = Service::start(&stage, "executor", &[]).await;
    let api = Service::start(&stage, "api", &[]).await;
    let all = [&bridge, &executor, &api];
    for service in all {
        service.until(200, &["ok"]).await;
    }

    // A full Redis takes no new jobs; those that work for it to get empty stay ready.
    say(&stage, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let problem = bridge.until(503, &["OOM", "maxmemory"]).await;
    assert!(problem["missing"]["enqueue"].is_string() && problem["missing"]["redis"].is_null(), "{problem}");
    for service in [&executor, &api] {
        service.until(200, &["ok"]).await;
    }
    say(&stage, &["CONFIG", "SET", "maxmemory", "0"]).await;
    bridge.until(200, &["ok"]).await;
    bridge.process.logged(&["works again", "enqueue"]).await;

    say(&stage, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let event = order(1);
    stage.publish(&event).await;
    for service in all {
        let problem = service.until(503, &["\"redis\":", "READONLY", "redis+sentinel"]).await;
        assert!(problem["missing"]["redis"].is_string(), "{problem}");
    }
    // Each loop tries again and again, and says so once.
    let refused = async {
        loop {
            let stats: String = redis::from_redis_value(say(&stage, &["INFO", "errorstats"]).await).unwrap();
            let count =
                info(&stats, "errorstat_READONLY").and_then(|count| count.split('=').nth(1)?.parse().ok());
            if count.unwrap_or(0) >= 40 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("Redis is not asked again");
    for service in all {
        let said = service.process.count(&["READONLY"]);
        assert!((1..=3).contains(&said), "{said} lines:\n{}", service.process.tail());
    }
    say(&stage, &["REPLICAOF", "NO", "ONE"]).await;
    stage.succeeded(&stage.job_of(&event)).await;
    for service in all {
        service.until(200, &["ok"]).await;
        service.process.logged(&["works again"]).await;
    }
    executor.process.logged(&["claiming works again"]).await;
    for service in [bridge, executor, api] {
        service.process.stop().await;
    }
    stage.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_data_are_an_alarm_and_new_events_are_processed() {
    let redis = own_redis().await;
    let stage = Stage::on(&redis.url()).await;
    let bridge = Service::start(&stage, "bridge", &[]).await;
    let executor = Service::start(&stage, "executor", &[]).await;
    let api = Service::start(&stage, "api", &[]).await;
    let first = order(1);
    stage.publish(&first).await;
    stage.succeeded(&stage.job_of(&first)).await;
    let all = [&bridge, &executor, &api];
    for service in all {
        let well = service.until(200, &["ok"]).await;
        assert!(well["warnings"].is_null(), "{well}");
        // It is there before anything happens, for alerts that look at its growth.
        assert!(service.metric("upshot_redis_installation_lost_total 0").await);
    }

    say(&stage, &["FLUSHALL"]).await;
    for service in all {
        service.process.logged(&["ERROR", "gone or were replaced"]).await;
        let well = service.until(200, &["warnings"]).await;
        let said = well["warnings"]["installation"].as_str().unwrap();
        assert!(said.contains("FLUSHALL") && said.contains("restart this process"), "{said}");
        assert!(service.metric("upshot_redis_installation_lost_total 1").await);
        assert!(service.metric("upshot_redis_installation_lost 1").await);
        assert_eq!(service.process.count(&["gone or were replaced"]), 1);
    }
    let second = order(2);
    stage.publish(&second).await;
    stage.succeeded(&stage.job_of(&second)).await;
    let Service { process, .. } = bridge;
    process.stop().await;
    // A restart ends the alarm.
    let bridge = Service::start(&stage, "bridge", &[]).await;
    let well = bridge.until(200, &["ok"]).await;
    assert!(well["warnings"].is_null(), "{well}");
    for service in [bridge, executor, api] {
        service.process.stop().await;
    }
    stage.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_less_than_is_demanded_gets_no_jobs() {
    let redis = own_redis().await;
    let stage = Stage::on(&redis.url()).await;
    let always = [("UPSHOT_REDIS__DURABILITY", "always".to_owned())];
    let bridge = Service::start(&stage, "bridge", &always).await;
    let executor = Service::start(&stage, "executor", &[]).await;
    let event = order(1);
    stage.publish(&event).await;
    bridge.until(503, &["durability", "appendfsync everysec", "appendfsync always"]).await;
    // The event was delivered and is not taken over.
    let delivered = async { while stage.waiting_in(upshot_runtime::amqp::INTAKE).await > 0 {} };
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    assert!(stage.queue.job(&stage.job_of(&event)).await.unwrap().is_none());
    say(&stage, &["CONFIG", "SET", "appendfsync", "always"]).await;
    stage.succeeded(&stage.job_of(&event)).await;
    bridge.until(200, &["ok"]).await;

    // A user without the right to ask: the service warns and continues.
    bridge.process.stop().await;
    say(&stage, &["ACL", "SETUSER", "blind", "on", ">p", "~*", "&*", "+@all", "-config", "-info"]).await;
    let url = redis.url().replace("redis://", "redis://blind:p@");
    let blind = [&always[..], &[("UPSHOT_REDIS_URL", url)]].concat();
    let bridge = Service::start(&stage, "bridge", &blind).await;
    let well = bridge.until(200, &["warnings"]).await;
    assert!(well["warnings"]["durability"].as_str().unwrap().contains("+config|get"), "{well}");
    for service in [bridge, executor] {
        service.process.stop().await;
    }
    stage.finish().await;
    redis.stop().await.unwrap();
}
