//! Readiness, figures, the page.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use upshot_runtime::Health;

use upshot_testkit::TestRabbit;

use crate::fixture::{Fixture, PATIENCE, job};

/// Waits until the service is ready, or not, and returns the answer. Nobody is
/// told when that happens: it is asked for, as an orchestrator asks.
async fn until(fixture: &Fixture, status: u16) -> Value {
    let asking = async {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        loop {
            interval.tick().await;
            let response = fixture.get("/readyz").await;
            if response.status() == status {
                return response.json().await.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never {status}"))
}

#[tokio::test]
async fn readiness_follows_redis_down_and_up() {
    let mut redis = upshot_testkit::own_redis().await;
    let fixture = Fixture::on(&redis.url(), &TestRabbit::get().await.vhost().1).await;
    assert_eq!(until(&fixture, 200).await, json!({"status": "ok"}));
    redis.kill().await.unwrap();
    let problem = until(&fixture, 503).await;
    assert_eq!(problem["code"], "not-ready");
    let missing = problem["missing"].as_object().unwrap();
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["redis"], "{problem}");
    // It is alive and says so, and the figures that it has are there.
    assert_eq!(fixture.json("/healthz", 200).await, json!({"status": "ok"}));
    assert_eq!(fixture.get("/metrics").await.status(), 200);
    redis.restart().await.unwrap();
    until(&fixture, 200).await;
    let id = fixture.enqueue("emails", job("1", "k")).await;
    fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    fixture.finish().await;
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn without_rabbitmq_the_service_is_not_ready() {
    let fixture = Fixture::new().await;
    let asking = async {
        // The first answers say that nothing was looked at yet.
        while until(&fixture, 503).await["missing"]["rabbitmq"].is_null() {}
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn figures_of_queues_are_those_of_redis() {
    let fixture = Fixture::new().await;
    for n in 0..3 {
        fixture.enqueue("emails", job(&n.to_string(), "k")).await;
    }
    let text = fixture.get("/metrics").await.text().await.unwrap();
    for line in [
        "upshot_queue_jobs{queue=\"emails\",state=\"ready\"} 3",
        "upshot_queue_jobs{queue=\"invoices\",state=\"ready\"} 0",
        "upshot_queue_transitions_total{queue=\"emails\",transition=\"enqueued\"} 3",
    ] {
        assert!(text.lines().any(|each| each == line), "`{line}` is not in: {text}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn the_page_lists_every_address_of_the_document() {
    let fixture = Fixture::new().await;
    let page = fixture.get("/v1").await.text().await.unwrap();
    let document = fixture.json("/openapi.json", 200).await;
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(path.as_str()), "{path} is not on the page");
    }
    assert!(!page.contains("src="), "the page needs something from elsewhere");
    fixture.finish().await;
}

#[tokio::test]
async fn an_api_with_a_listener_for_probes_serves_metrics_only_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fixture = Fixture::with_probes(listener).await;
    let apart = |path: &str| format!("http://{address}{path}");
    for base in [fixture.url(""), apart("")] {
        assert_eq!(fixture.get(&format!("{base}/healthz")).await.status(), 200, "{base}");
        fixture.get(&format!("{base}/readyz")).await;
    }
    let text = fixture.get(&apart("/metrics")).await.text().await.unwrap();
    assert!(text.contains("upshot_queue_up"), "{text}");
    let problem = fixture.json("/metrics", 404).await;
    assert!(problem["detail"].as_str().unwrap().contains("`probes.listen`"), "{problem}");
    // The API itself is not there.
    fixture.json(&apart("/v1/jobs"), 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn probes_stand_alone() {
    let health = Health::default();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(upshot_api::serve_probes(listener, health.clone(), metrics, stop.clone()));
    let client = reqwest::Client::new();
    let ask = async |path: &str| {
        let response = client.get(format!("{base}{path}")).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.bytes().await.unwrap())
    };
    assert_eq!(ask("/readyz").await.0, 200);
    health.down("redis", "away");
    let (status, problem) = ask("/readyz").await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!((status, &problem["missing"]), (503, &json!({"redis": "away"})));
    assert_eq!((ask("/healthz").await.0, ask("/metrics").await.0, ask("/v1/jobs").await.0), (200, 200, 404));
    stop.cancel();
    serving.await.unwrap();
}
