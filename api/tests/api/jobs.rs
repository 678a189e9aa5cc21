//! One job.

use std::time::Duration;

use serde_json::{Value, json};
use upshot_queue::{Failure, JobId, NewJob};

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

#[tokio::test]
async fn a_job_is_shown_without_its_arguments() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}");
    let shown = fixture.json(&path, 200).await;
    for (name, value) in [
        ("id", json!(id)),
        ("queue", json!("emails")),
        ("kind", json!("order.confirm")),
        ("tenant", json!("acme")),
        ("subject", json!("order-1")),
        ("state", json!("ready")),
        ("attempts", json!(0)),
        ("event", json!({"source": "/shops/berlin", "id": "1", "type": "order.completed.v1"})),
    ] {
        assert_eq!(shown[name], value, "{name} of {shown}");
    }
    let time = shown["enqueued_at"].as_str().unwrap();
    assert!(time.len() == "2026-01-31T12:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    assert_eq!(shown["links"]["self"], fixture.url(&path));
    assert!(!shown.to_string().contains("of a customer"));
    let with = fixture.json(&format!("{path}?args=true"), 200).await;
    assert_eq!(with["args"], json!({"secret": "of a customer"}));
    fixture.finish().await;
}

#[tokio::test]
async fn ids_that_are_unknown_or_none_are_told_apart() {
    let fixture = Fixture::new().await;
    let unknown = fixture.json(&format!("/v1/jobs/{}", JobId::random()), 404).await;
    assert_eq!(unknown["code"], "unknown-job");
    let none = fixture.json("/v1/jobs/1042", 400).await;
    assert_eq!((none["parameter"].as_str(), none["value"].as_str()), (Some("id"), Some("1042")));
    fixture.json(&format!("/v1/jobs/{}?args=yes", JobId::random()), 400).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_job_that_waits_says_for_what() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let later = NewJob { delay: Duration::from_secs(60), ..job("2", "invoice.issue") };
    let later = fixture.enqueue("invoices", later).await;
    let worker = Worker::start(&fixture.connector, "invoices", |_, lease| async move {
        lease.complete_step("render", &json!({"pages": 1})).await.unwrap();
        Err(Failure::transient("connection refused by mail.example:25"))
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    let waits = messages.until(|message| message.data["state"] == "scheduled").await;
    let shown = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    let waiting = &shown["waiting_for"];
    assert_eq!(waiting["reason"], "connection refused by mail.example:25");
    assert_eq!(waiting["class"], "transient");
    assert!(waiting["retry_at"].as_str() > shown["since"].as_str(), "{shown}");
    assert_eq!(waits.data["waiting_for"], *waiting);
    assert_eq!(shown["failures"], json!({"transient": 1}));
    let step = &shown["steps"][0];
    assert_eq!((&step["name"], &step["result"]), (&json!("render"), &json!({"pages": 1})));
    assert!(step["completed_at"].as_str() <= shown["since"].as_str(), "{shown}");
    assert_eq!((&shown["history"][0]["attempt"], &shown["attempts"]), (&json!(1), &json!(1)));

    let listed = fixture.json("/v1/jobs?state=scheduled", 200).await;
    let of = |id: &JobId| {
        let jobs = listed["jobs"].as_array().unwrap();
        jobs.iter().find(|job| job["id"] == id.as_str()).map(|job| job["waiting_for"].clone()).unwrap()
    };
    assert_eq!(of(&id), *waiting);
    assert_eq!(
        (&of(&later)["class"], &of(&later)["reason"]),
        (&Value::Null, &json!("enqueued with a delay"))
    );
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_job_is_retried_with_fresh_budgets_and_no_other_is() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let post = |content_type: &'static str| {
        let request = reqwest::Client::new().post(fixture.url(&format!("/v1/jobs/{id}/retry")));
        request.header("content-type", content_type).send()
    };
    let early = post("application/json").await.unwrap();
    assert_eq!(early.status(), 409);
    assert_eq!(early.json::<Value>().await.unwrap()["code"], "not-dead");

    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        if job.attempts == 1 {
            Err(Failure::permanent("no such customer"))
        } else {
            Ok(json!({"summary": "done"}))
        }
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "dead").await;
    assert_eq!(post("text/plain").await.unwrap().status(), 415);
    let again = post("application/json").await.unwrap();
    assert_eq!(again.status(), 202);
    let shown: Value = again.json().await.unwrap();
    assert_eq!((&shown["failures"], shown["history"].as_array().unwrap().len()), (&json!({}), 1));
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    worker.stop().await;
    fixture.finish().await;
}
