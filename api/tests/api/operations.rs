//! What people do to one job.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Notify;
use upshot_queue::{Failure, JobId, NewJob};
use upshot_shared::intake::LABEL_TYPE;

use crate::{
    fixture::{Fixture, body, event, job},
    stream::Messages,
    worker::Worker,
};

/// What the timeline says happened, in order.
fn happened(shown: &Value) -> Vec<String> {
    let entries = shown["timeline"].as_array().unwrap();
    let what = |entry: &Value| {
        assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
        entry["did"].as_str().or(entry["what"].as_str()).unwrap().to_owned()
    };
    entries.iter().map(what).collect()
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_once() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/cancel");
    let said = fixture.change(&path, Value::Null, 202).await;
    assert_eq!((&said["result"], &said["job"]["state"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(happened(&said["job"]), ["enqueued", "cancelled", "finished"]);
    let again = fixture.change(&path, json!({}), 409).await;
    assert_eq!(again["code"], "already-ended");
    assert!(again["detail"].as_str().unwrap().contains("is cancelled"), "{again}");
    let listed = fixture.json("/v1/jobs?state=cancelled", 200).await;
    assert_eq!(listed["jobs"][0]["id"], id.as_str());
    let outcome = fixture.json(&format!("/v1/outcomes/{id}"), 200).await;
    assert_eq!(outcome["status"], "cancelled");
    fixture.finish().await;
}

#[tokio::test]
async fn the_handler_of_a_running_job_is_told_to_stop() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let began = Arc::new(Notify::new());
    let begins = Arc::clone(&began);
    let worker = Worker::start(&fixture.connector, "invoices", move |_, lease| {
        let begins = Arc::clone(&begins);
        async move {
            begins.notify_one();
            lease.cancelled().cancelled().await;
            Err(Failure::transient("stopped in the middle"))
        }
    });
    began.notified().await;
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    let said = fixture.change(&format!("/v1/jobs/{id}/cancel"), Value::Null, 202).await;
    assert_eq!(said["result"], "stopping");
    let end = messages.until(|message| message.name == "end").await;
    assert_eq!(end.data["state"], "cancelled");
    let shown = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    assert!(shown["cancel_asked_at"].as_str() <= shown["since"].as_str(), "{shown}");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_waiting_job_is_put_off_and_called_back() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/reschedule");
    let later = fixture.change(&path, json!({"delay": "5m"}), 202).await;
    assert_eq!(later["state"], "scheduled");
    let waiting = &later["waiting_for"];
    assert!(waiting["retry_at"].as_str() > later["since"].as_str(), "{later}");
    assert!(waiting["reason"].as_str().unwrap().starts_with("rescheduled"), "{later}");
    let now = fixture.change(&path, json!({"delay": "0s"}), 202).await;
    assert_eq!((&now["state"], &now["waiting_for"]), (&json!("ready"), &Value::Null));
    for (said, words) in [
        (json!({"delay": "soon"}), &["`delay` is `soon`", "30s"][..]),
        (json!({"delay": "4000d"}), &["`delay`", "3650d"]),
        (json!({"delay": "9999999d"}), &["`delay`", "century"]),
        (json!({"in": "5m"}), &["`in` is `5m`", "`delay`"]),
        (Value::Null, &["`delay`"]),
    ] {
        let problem = fixture.change(&path, said, 400).await;
        for word in words {
            assert!(problem["detail"].as_str().unwrap().contains(word), "`{word}`: {problem}");
        }
    }
    fixture.change(&format!("/v1/jobs/{id}/cancel"), Value::Null, 202).await;
    let ended = fixture.change(&path, json!({"delay": "5m"}), 409).await;
    assert_eq!(ended["code"], "not-waiting");
    fixture.finish().await;
}

#[tokio::test]
async fn a_waiting_job_gets_another_priority() {
    let fixture = Fixture::new().await;
    let later = NewJob { delay: Duration::from_secs(60), ..job("1", "order.confirm") };
    let id = fixture.enqueue("emails", later).await;
    let path = format!("/v1/jobs/{id}/priority");
    assert_eq!(fixture.json(&format!("/v1/jobs/{id}"), 200).await["priority"], "normal");
    let said = fixture.change(&path, json!({"priority": "critical"}), 202).await;
    assert_eq!((&said["priority"], &said["state"]), (&json!("critical"), &json!("scheduled")));
    assert_eq!(happened(&said), ["enqueued", "prioritised"]);
    let problem = fixture.change(&path, json!({"priority": "urgent"}), 400).await;
    assert_eq!((&problem["parameter"], &problem["value"]), (&json!("priority"), &json!("urgent")));
    assert!(problem["detail"].as_str().unwrap().contains("critical"), "{problem}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_job_is_edited_and_retried() {
    let fixture = Fixture::new().await;
    // Of an event type without a contract: any JSON will do.
    let mut dying = job("1", "invoice.issue");
    dying.labels.insert(LABEL_TYPE.to_owned(), "order.confirmed.v1".to_owned());
    let id = fixture.enqueue("invoices", dying).await;
    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        match std::str::from_utf8(&job.args) {
            Ok(args) if args.contains("1.10") => Ok(json!({"summary": "done"})),
            _ => Err(Failure::permanent("no such customer")),
        }
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "dead").await;
    let dead = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    assert_eq!(happened(&dead), ["enqueued", "claimed", "failed", "finished"]);
    assert!(dead["group"].is_string(), "{dead}");
    let path = format!("/v1/jobs/{id}/retry");
    fixture.change(&path, json!({"arg": 1}), 400).await;

    // As text, because the digits are to stay as they were written.
    let request = fixture.client.post(fixture.url(&path)).header("content-type", "application/json");
    let response = request.body(r#"{"args": {"amount": 1.10}}"#).send().await.unwrap();
    assert_eq!(body(response, 202).await["group"], Value::Null);
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    let shown = fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await;
    assert_eq!(shown["args"], json!({"amount": 1.10}));
    assert_eq!(shown["earlier_args"], json!([{"secret": "of a customer"}]));
    assert!(happened(&shown).contains(&"edited".to_owned()), "{shown}");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn steps_run_again_with_other_arguments_once_they_are_named() {
    let fixture = Fixture::new().await;
    let mut dying = job("1", "invoice.issue");
    dying.labels.insert(LABEL_TYPE.to_owned(), "order.confirmed.v1".to_owned());
    let id = fixture.enqueue("invoices", dying).await;
    let worker = Worker::start(&fixture.connector, "invoices", |job, lease| async move {
        if std::str::from_utf8(&job.args).is_ok_and(|args| args.contains("right")) {
            assert!(lease.step("charge").is_none());
            return Ok(json!({"summary": "done"}));
        }
        lease.complete_step("charge", &json!({"payment": "p-1"})).await.unwrap();
        Err(Failure::permanent("no such customer"))
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "dead").await;
    let before = fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await;
    let path = format!("/v1/jobs/{id}/retry");

    for named in [json!([]), json!(["other"])] {
        let problem =
            fixture.change(&path, json!({"args": {"is": "right"}, "repeat_steps": named}), 409).await;
        assert_eq!(problem["code"], "steps-completed", "{problem}");
        assert_eq!(problem["steps"][0]["name"], "charge");
        assert_eq!(problem["steps"][0]["result"], json!({"payment": "p-1"}));
        assert!(problem["detail"].as_str().unwrap().contains("repeat_steps"), "{problem}");
    }
    assert_eq!(fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await, before);

    let agreed = json!({"args": {"is": "right"}, "repeat_steps": ["charge"]});
    let said = fixture.change(&path, agreed, 202).await;
    assert_eq!((&said["repeats"], &said["steps"]), (&json!(["charge"]), &json!([])));
    assert_eq!(said["dropped_steps"], before["steps"], "what was done is still shown");
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    worker.stop().await;
    fixture.finish().await;
}

/// Whatever state the job is in, and whether it was accepted with worse.
#[tokio::test]
async fn arguments_that_violate_the_contract_change_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        match std::str::from_utf8(&job.args) {
            Ok(args) if args.contains("right@mail.example") => Ok(json!({"summary": "done"})),
            _ => Err(Failure::permanent("no such customer")),
        }
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "dead").await;
    let before = fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await;
    let path = format!("/v1/jobs/{id}/retry");

    let order = |email: &str| {
        let mut order = event("1")["data"].clone();
        order["customer"]["email"] = json!(email);
        order
    };
    let mut half = order("right@mail.example");
    half["lines"][0]["quantity"] = json!(2.5);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (args, place, why) in [
        (order("ada..b@mail.example").to_string(), "/args/customer/email", "idn-email"),
        (half.to_string(), "/args/lines/0/quantity", "order.completed.v1"),
        ("null".to_owned(), "/args", "order.completed.v1"),
        ("{}".to_owned(), "/args", "order_number"),
        (deep, "/args", "nested deeper than 127 levels"),
    ] {
        let request = fixture.client.post(fixture.url(&path)).header("content-type", "application/json");
        let response = request.body(format!(r#"{{"args": {args}}}"#)).send().await.unwrap();
        let problem = body(response, 422).await;
        assert_eq!(problem["code"], "invalid-arguments", "{problem}");
        assert_eq!(problem["place"], place, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        for word in [place, why, "stays as it was", id.as_str()] {
            assert!(detail.contains(word), "`{word}` is not in {detail}");
        }
        assert!(!detail.contains("ada..b"), "{detail}");
    }
    assert_eq!(fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await, before);

    fixture.change(&path, json!({"args": order("right@mail.example")}), 202).await;
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn every_change_is_safe_from_pages_of_other_origins() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    for (method, path) in [
        ("POST", format!("/v1/jobs/{id}/cancel")),
        ("POST", format!("/v1/jobs/{id}/reschedule")),
        ("POST", format!("/v1/jobs/{id}/priority")),
        ("POST", format!("/v1/jobs/{id}/retry")),
        ("POST", "/v1/queues/emails/pause".to_owned()),
        ("POST", "/v1/queues/emails/resume".to_owned()),
        ("POST", "/v1/queues/emails/unpark".to_owned()),
        ("PUT", "/v1/queues/emails/limits".to_owned()),
        ("POST", "/v1/operations".to_owned()),
        ("POST", format!("/v1/operations/{id}/start")),
        ("POST", format!("/v1/operations/{id}/abort")),
    ] {
        let request = fixture.client.request(method.parse().unwrap(), fixture.url(&path));
        let response = request.header("content-type", "text/plain").body("{}").send().await.unwrap();
        let problem = body(response, 415).await;
        assert_eq!(problem["code"], "unsupported-media-type", "{path}");
        let large = json!({"args": "x".repeat(9_000)});
        let problem = body(fixture.send(method, &path, &large).await, 413).await;
        assert_eq!(problem["code"], "body-too-large", "{path}");
    }
    assert_eq!(fixture.json(&format!("/v1/jobs/{id}"), 200).await["state"], "ready");
    fixture.change(&format!("/v1/jobs/{}/cancel", JobId::random()), Value::Null, 404).await;
    fixture.finish().await;
}
