//! Events that are not accepted.

use serde_json::{Value, json};

use crate::fixture::{Fixture, body, event};

/// The event with one change.
fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut event = event("e-1");
    change(&mut event);
    event.to_string()
}

#[tokio::test]
async fn each_rejection_names_reason_and_place() {
    let fixture = Fixture::new().await;
    let remove =
        |name: &'static str| move |event: &mut Value| drop(event.as_object_mut().unwrap().remove(name));
    let cases = [
        ("{".to_owned(), 400, "malformed_json", ""),
        ("[]".to_owned(), 415, "not_a_cloud_event", ""),
        (with(remove("id")), 422, "missing_attribute", "/id"),
        (with(remove("data")), 422, "contract_violation", "/data"),
        (with(|event| event["time"] = json!("noon")), 422, "invalid_attribute", "/time"),
        (with(|event| event["type"] = json!("order.lost.v1")), 422, "unknown_type", "/type"),
        (
            with(|event| event["data"]["lines"][0]["unit_price"] = json!(24.9)),
            422,
            "contract_violation",
            "/data/lines/0/unit_price",
        ),
        (with(|event| event["data"]["note"] = json!("x".repeat(9_000))), 413, "oversize", ""),
    ];
    for (text, status, reason, place) in cases {
        let shown: String = text.chars().take(60).collect();
        let problem = body(fixture.post(text).await, status).await;
        assert_eq!(
            (problem["reason"].as_str(), problem["place"].as_str()),
            (Some(reason), Some(place)),
            "{shown}"
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    fixture.finish().await;
}

#[tokio::test]
async fn other_content_types_are_told_what_to_send() {
    let fixture = Fixture::new().await;
    for media in ["application/json", "text/plain", "application/cloudevents-batch+json"] {
        let request = fixture.client.post(fixture.url("/v1/events")).header("content-type", media);
        let response = request.body(event("e-1").to_string()).send().await.unwrap();
        let problem = body(response, 415).await;
        assert_eq!(problem["reason"], "not_a_cloud_event");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(media) && detail.contains("ce-specversion"), "{detail}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn without_rabbitmq_the_producer_is_asked_to_come_back() {
    let fixture = Fixture::new().await;
    let response = fixture.post(event("e-1").to_string()).await;
    assert!(response.headers().contains_key("retry-after"));
    let problem = body(response, 503).await;
    assert_eq!(problem["code"], "rabbitmq-unavailable");
    fixture.finish().await;
}

#[tokio::test]
async fn addresses_and_methods_that_are_not_there_are_problems_too() {
    let fixture = Fixture::new().await;
    fixture.json("/v2/jobs", 404).await;
    let response = fixture.client.delete(fixture.url("/v1/events")).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "POST");
    body(response, 405).await;
    fixture.finish().await;
}
