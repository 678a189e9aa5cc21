//! `upshot doctor` against real servers, in order and out of order.

use serde_json::Value;
use tokio::net::TcpListener;
use upshot_servers::{RedisOptions, RedisServer};
use upshot_tests::{Process, Stage};

/// What the doctor says as JSON, and whether it is content.
async fn examine(stage: &Stage, more: &[(&str, &str)]) -> (bool, Value) {
    let mut variables = stage.variables();
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let (succeeded, printed) = Process::output(&["doctor", "--json"], &variables).await;
    (succeeded, serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}")))
}

/// A check: how it came out, and all that it says.
fn check(report: &Value, subject: &str, name: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["subject"] == subject && check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no check `{subject}: {name}` in {report:#}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("outcome"), format!("{} {}", text("seen"), text("remedy")))
}

fn assert_check(report: &Value, (subject, name): (&str, &str), outcome: &str, words: &[&str]) {
    let (found, said) = check(report, subject, name);
    assert_eq!(found, outcome, "{subject}: {name}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{subject}: {name}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_right_and_what_is_wrong() {
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    let redis = RedisServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap();
    let stage = Stage::on(&redis.url()).await;
    let bridge = stage.start("bridge", &[]).await;

    let (content, report) = examine(&stage, &[]).await;
    assert!(content, "{report:#}");
    for (subject, name, words) in [
        ("settings", "contracts", &[][..]),
        ("redis", "reached", &["127.0.0.1"]),
        ("redis", "version", &["7."]),
        ("redis", "takes writes", &[]),
        ("redis", "takes new jobs", &[]),
        ("redis", "durability", &["appendfsync everysec", "last second", "docs/durability.md"]),
        ("redis", "memory", &["noeviction"]),
        ("redis", "replicas", &["0 connected"]),
        ("redis", "queue invoices", &["layout fits"]),
        ("redis", "clock", &["ms apart"]),
        ("rabbitmq", "reached", &["RabbitMQ", "3."]),
        ("rabbitmq", "login and vhost", &["upshot", &stage.vhost]),
        ("rabbitmq", "exchange upshot.events", &[]),
        ("rabbitmq", "queue upshot.quarantine", &["0 messages"]),
        ("rabbitmq", "exchange upshot.outcomes", &[]),
        ("rabbitmq", "stream upshot.outcomes.history", &["is there"]),
        ("rabbitmq", "takes messages", &["no alarm"]),
        ("store", "write, read, delete", &["file://"]),
        ("smtp", "connect, greeting, login", &["answers"]),
    ] {
        assert_check(&report, (subject, name), "ok", words);
    }
    assert!(!report.to_string().contains("password"), "{report:#}");
    let left = std::fs::read_dir(stage.files()).unwrap().count();
    assert_eq!(left, 0, "the doctor left something in the store");
    // For people: one line a check.
    let (content, table) = Process::output(&["doctor"], &stage.variables()).await;
    assert!(content && table.contains("redis: durability") && !table.contains("FAILED"), "{table}");

    // Everything out of order.
    bridge.stop().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut admin = stage.redis_connection();
    for words in [["appendonly", "no"], ["maxmemory-policy", "allkeys-lru"], ["min-replicas-to-write", "1"]] {
        let () = redis::cmd("CONFIG").arg("SET").arg(&words).query_async(&mut admin).await.unwrap();
    }
    let wrong = [
        ("UPSHOT_REDIS__DURABILITY", "replicas"),
        ("UPSHOT_REDIS__REPLICAS", "1"),
        ("UPSHOT_SMTP__URL", &format!("smtp://{free}")),
        ("UPSHOT_STORE__URL", "ftp://nowhere"),
        ("UPSHOT_CONTRACTS__DIR", "/nonexistent"),
        ("UPSHOT_OUTCOMES__HISTORY_AGE", "1h"),
    ];
    let (content, report) = examine(&stage, &wrong).await;
    assert!(!content && report["failed"].as_u64().unwrap() >= 7, "{report:#}");
    for (subject, name, outcome, words) in [
        ("settings", "contracts", "failed", &["/nonexistent", "contracts.dir"][..]),
        ("redis", "takes writes", "failed", &["NOREPLICAS", "min-replicas-to-write"]),
        ("redis", "durability", "failed", &["appendonly no", "appendonly yes"]),
        ("redis", "memory", "failed", &["allkeys-lru", "noeviction"]),
        ("redis", "replicas", "failed", &["0 connected, 1 demanded"]),
        ("rabbitmq", "queue upshot.intake", "warning", &["0 consumers", "upshot bridge"]),
        ("rabbitmq", "stream upshot.outcomes.history", "warning", &["x-max-age", "policy"]),
        ("store", "opened", "failed", &["ftp://nowhere", "store.url"]),
        ("smtp", "connect, greeting, login", "failed", &["smtp.url"]),
    ] {
        assert_check(&report, (subject, name), outcome, words);
    }

    // No server, or no permission.
    let away = [
        ("UPSHOT_REDIS_URL", format!("redis://{free}")),
        ("UPSHOT_AMQP_URL", format!("amqp://u:s3cr3t@{free}/v")),
    ];
    let away: Vec<(&str, &str)> = away.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (content, report) = examine(&stage, &away).await;
    assert!(!content && !report.to_string().contains("s3cr3t"), "{report:#}");
    assert_check(&report, ("redis", "reached"), "failed", &["redis.url"]);
    assert_check(&report, ("rabbitmq", "reached"), "failed", &["amqp.url", "…@"]);
    let stranger = stage.amqp.replace("amqp://upshot:", "amqp://upshot:not-");
    let (_, report) = examine(&stage, &[("UPSHOT_AMQP_URL", &stranger)]).await;
    assert_check(&report, ("rabbitmq", "login and vhost"), "failed", &["user and password"]);
    let (content, report) = examine(&stage, &[("UPSHOT_BRIDGE__BATCH", "900")]).await;
    assert!(!content);
    assert_check(&report, ("settings", "settings"), "failed", &["bridge.batch", "1 to 256"]);
    stage.finish().await;
    redis.stop().await.unwrap();
}
