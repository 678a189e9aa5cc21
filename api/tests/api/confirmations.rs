//! Confirmations: they end the jobs whose outcome awaits them, early or late.

use std::time::Duration;

use serde_json::{Value, json};
use upshot_queue::{Await, OnSilence, Stop};

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

const PATH: &str = "/v1/confirmations";
const HOUR: Duration = Duration::from_secs(3600);

/// Mails, and awaits the delivery; or sends one of two letters.
async fn mails(job: std::sync::Arc<upshot_queue::Job>) -> Result<Value, Stop> {
    let outcome = json!({"summary": "mailed", "evidence": [{"kind": "mail", "reply": "250 ok"}]});
    if job.kind == "letters.send" {
        let parts = json!([{"name": "Ada"}, {"name": "Bob", "weight": 2, "reason": "no such street"}]);
        return Err(Stop::Partial(json!({"summary": "1 of 2", "evidence": [], "parts": parts})));
    }
    let subject = job.subject.clone().unwrap_or_default();
    let condition = upshot_queue::Condition::new(Some("acme"), &format!("{subject} delivered")).unwrap();
    Err(Await { outcome, condition, within: HOUR, on_silence: OnSilence::Missed }.into())
}

#[tokio::test]
async fn a_confirmation_ends_the_job_that_awaits_it_and_a_bounce_too() {
    let fixture = Fixture::new().await;
    let worker = Worker::start_any(&fixture.connector, "emails", |job, _| mails(job));
    let mut ids = Vec::new();
    for n in ["1", "2"] {
        let id = fixture.enqueue("emails", job(n, "mail.send")).await;
        let mut messages = Messages::open(&fixture, id.as_str(), None).await;
        messages.until(|message| message.data["state"] == "parked").await;
        ids.push(id);
    }
    let list = fixture.json("/v1/outcomes?status=awaiting", 200).await;
    assert_eq!(list["outcomes"].as_array().unwrap().len(), 2, "{list}");
    let outcome = &list["outcomes"][0];
    assert_eq!((&outcome["status"], &outcome["summary"]), (&json!("awaiting"), &json!("mailed")));
    assert_eq!(outcome["awaiting"]["on_silence"], "missed", "{outcome}");
    let summary = fixture.json("/v1/outcomes/summary", 200).await;
    assert_eq!(summary["rows"][0]["awaiting"], 2, "{summary}");

    let confirmed = json!({
        "queue": "emails", "key": "order-1 delivered", "tenant": "acme", "id": "e-1",
        "evidence": {"receipt": "r-17"},
    });
    let said = |result: &str, jobs: u64| json!({"result": result, "jobs": jobs, "left": 0});
    assert_eq!(fixture.change(PATH, confirmed.clone(), 200).await, said("stored", 1));
    assert_eq!(fixture.change(PATH, confirmed.clone(), 200).await, said("known", 0));
    let other = json!({
        "queue": "emails", "key": "order-1 delivered", "tenant": "acme", "outcome": "missed", "reason": "no",
    });
    assert_eq!(fixture.change(PATH, other, 200).await, said("contradicts", 0));
    let outcome = fixture.json(&format!("/v1/outcomes/{}", ids[0]), 200).await;
    assert_eq!((&outcome["status"], &outcome["awaiting"]), (&json!("achieved_in_time"), &Value::Null));
    let proof = &outcome["evidence"][1];
    assert_eq!((&proof["kind"], &proof["receipt"]), (&json!("confirmation"), &json!("r-17")), "{outcome}");

    let bounce = json!({
        "queue": "emails", "key": "order-2 delivered", "tenant": "acme", "id": "e-2", "outcome": "missed",
        "reason": "mailbox unknown",
    });
    assert_eq!(fixture.change(PATH, bounce, 200).await, said("stored", 1));
    let outcome = fixture.json(&format!("/v1/outcomes/{}", ids[1]), 200).await;
    assert_eq!(outcome["status"], "missed");
    assert_eq!(outcome["reason"], json!({"class": "refuted", "message": "mailbox unknown"}));
    assert_eq!((&outcome["summary"], &outcome["evidence"]), (&Value::Null, &json!([])), "{outcome}");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_partial_outcome_shows_its_parts() {
    let fixture = Fixture::new().await;
    let worker = Worker::start_any(&fixture.connector, "emails", |job, _| mails(job));
    let id = fixture.enqueue("emails", job("1", "letters.send")).await;
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    let outcome = fixture.json(&format!("/v1/outcomes/{id}"), 200).await;
    assert_eq!((&outcome["status"], &outcome["summary"]), (&json!("partial"), &json!("1 of 2")));
    assert_eq!(
        outcome["parts"],
        json!([
            {"name": "Ada", "weight": 1, "achieved": true, "reason": null},
            {"name": "Bob", "weight": 2, "achieved": false, "reason": "no such street"},
        ])
    );
    let summary = fixture.json("/v1/outcomes/summary", 200).await;
    assert_eq!(summary["rows"][0]["partial"], 1, "{summary}");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_confirmed_is_told_why() {
    let fixture = Fixture::new().await;
    for (body, status, words) in [
        (json!({"key": "k"}), 400, &["`queue`"][..]),
        (json!({"queue": "nowhere", "key": "k"}), 404, &["`nowhere`"]),
        (json!({"queue": "emails", "key": ""}), 400, &["`key`", "1 to 200"]),
        (json!({"queue": "emails", "key": "kind a"}), 400, &["`kind a`"]),
        (json!({"queue": "emails", "key": "k", "outcome": "missed"}), 400, &["`outcome`", "say why"]),
        (json!({"queue": "emails", "key": "k", "reason": "x"}), 400, &["`reason`", "leave"]),
        (json!({"queue": "emails", "key": "k", "outcome": "done"}), 400, &["`outcome`"]),
    ] {
        let problem = fixture.change(PATH, body, status).await;
        for word in words {
            assert!(problem["detail"].as_str().unwrap().contains(word), "`{word}`: {problem}");
        }
    }
    fixture.finish().await;
}
