//! Requests from elsewhere, and connections that were lost while nobody asked.

use serde_json::json;

use crate::fixture::{Fixture, NOBODY, body, job};

#[tokio::test]
async fn a_foreign_host_or_page_is_refused() {
    let fixture = Fixture::new().await;
    for (header, value, status, code) in [
        ("host", "evil.example", 421, "unknown-host"),
        ("origin", "http://evil.example", 403, "foreign-origin"),
        ("origin", "null", 403, "foreign-origin"),
    ] {
        for path in ["/", "/v1/queues", "/nowhere"] {
            let asked = fixture.client.get(fixture.url(path)).header(header, value).send().await.unwrap();
            let problem = body(asked, status).await;
            assert_eq!(problem["code"], json!(code));
        }
        let figures = fixture.client.get(fixture.url("/metrics")).header(header, value).send().await.unwrap();
        assert_eq!(figures.status(), if header == "host" { 200 } else { 403 });
        // A load balancer names a host of its own.
        let asked = fixture.client.get(fixture.url("/healthz")).header(header, value).send().await.unwrap();
        assert_eq!(asked.status(), 200);
    }
    let own = fixture.client.get(fixture.url("/v1/queues")).header("origin", &fixture.base);
    assert_eq!(own.send().await.unwrap().status(), 200);
    fixture.finish().await;
}

#[tokio::test]
async fn a_read_over_a_connection_that_was_lost_is_repeated() {
    let redis = upshot_testkit::own_redis().await;
    let fixture = Fixture::on(&redis.url(), &format!("amqp://{NOBODY}")).await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let mut admin = fixture.connector.connect().unwrap();
    for _ in 0..5 {
        for path in
            ["/v1/queues", "/v1/jobs", "/v1/dead", &format!("/v1/jobs/{id}"), &format!("/v1/outcomes/{id}")]
        {
            // All but the one that kills.
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec_async(&mut admin).await.unwrap();
            fixture.json(path, 200).await;
        }
    }
    fixture.finish().await;
    redis.stop().await.unwrap();
}
