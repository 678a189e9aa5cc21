//! How expectations stand.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{Expect, Failure, JobId, NewJob, Operator};

use crate::{
    fixture::{Fixture, event, job, report},
    stream::Messages,
    worker::Worker,
};

#[tokio::test]
async fn an_expectation_is_achieved_missed_open_or_overdue() {
    let fixture = Fixture::new().await;
    let within = |id: &str, ms: u64| NewJob {
        expect: Some(Expect::new("r", Duration::from_millis(ms))),
        ..job(id, "k")
    };
    let open = fixture.enqueue("emails", within("open", 3_600_000)).await;
    // Expected at the very moment of its enqueue: it is late as soon as
    // Redis' clock has gone on.
    let overdue = fixture.enqueue("emails", within("overdue", 0)).await;
    // The event was an hour ago: an outage before the bridge made it late.
    let hour_ago = Some(chrono::Utc::now().timestamp_millis() - 3_600_000);
    let expect = Expect { from: hour_ago, ..Expect::new("r", Duration::from_secs(1_800)) };
    let delayed = fixture.enqueue("emails", NewJob { expect: Some(expect), ..job("delayed", "k") }).await;
    let achieved = fixture.enqueue("invoices", within("achieved", 3_600_000)).await;
    let late = fixture.enqueue("invoices", within("late", 0)).await;
    let missed = fixture.enqueue("invoices", within("missed", 3_600_000)).await;
    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        match job.subject.as_deref() {
            Some("order-missed") => Err(Failure::permanent("no such mailbox")),
            _ => Ok(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]})),
        }
    });
    for id in [&achieved, &late, &missed] {
        Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    }
    let report = async |id: &JobId| fixture.json(&format!("/v1/outcomes/{id}"), 200).await;

    let found = report(&achieved).await;
    assert_eq!((&found["status"], &found["in_time"]), (&json!("achieved_in_time"), &json!(true)));
    assert_eq!(found["evidence"], json!([{"kind": "mail", "reply": "250 ok"}]));
    assert_eq!((&found["summary"], &found["reason"]), (&json!("sent"), &json!(null)));
    assert!(found["decided_at"].is_string());

    let found = report(&missed).await;
    assert_eq!((&found["status"], &found["in_time"]), (&json!("missed"), &json!(false)));
    assert_eq!(found["reason"], json!({"class": "permanent", "message": "no such mailbox"}));
    assert_eq!(found["evidence"], json!([]));

    let found = report(&open).await;
    assert_eq!((&found["status"], &found["in_time"]), (&json!("open"), &json!(null)));
    assert!(found["decided_at"].is_null());

    let found = report(&delayed).await;
    assert_eq!((&found["status"], &found["in_time"]), (&json!("overdue"), &json!(false)));
    let found = report(&overdue).await;
    assert_eq!((&found["status"], &found["in_time"]), (&json!("overdue"), &json!(false)));

    let found = report(&late).await;
    let in_time = found["decided_at"].as_str() <= found["expected_by"].as_str();
    assert_eq!(found["in_time"], in_time);
    assert_eq!(found["status"], if in_time { "achieved_in_time" } else { "achieved_late" });
    fixture.json(&format!("/v1/outcomes/{}", JobId::random()), 404).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn an_event_leads_to_its_outcomes() {
    let fixture = Fixture::new().await;
    let mut keyed = event("e-1");
    fixture.enqueue_event(&keyed).await;
    let found = fixture.json("/v1/outcomes?source=/shops/berlin&id=e-1", 200).await;
    let [outcome] = &found["outcomes"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&outcome["kind"], &outcome["subject"]), (&json!("invoice.issue"), &json!("order-1042")));
    assert_eq!(outcome["event"]["id"], "e-1");

    keyed["idempotencykey"] = json!("order 1042/completed");
    fixture.enqueue_event(&keyed).await;
    let found = fixture.json("/v1/outcomes?source=/shops/berlin&id=order%201042/completed", 200).await;
    assert_eq!(found["outcomes"][0]["event"]["id"], "e-1");

    fixture.json("/v1/outcomes?source=/shops/berlin&id=e-2", 404).await;
    assert_eq!(fixture.json("/v1/outcomes?source=/shops/berlin", 400).await["parameter"], "id");
    fixture.json("/v1/outcomes?source=a&id=b&type=c", 400).await;
    fixture.finish().await;
}

#[tokio::test]
async fn an_event_that_was_a_duplicate_leads_to_the_job_that_stands_for_it() {
    let fixture = Fixture::new().await;
    let first = fixture.enqueue_event(&report("r-1", "2026-03")).await.remove(0);
    let second = fixture.enqueue_event(&report("r-2", "2026-03")).await.remove(0);
    let other = fixture.enqueue_event(&report("r-3", "2026-04")).await.remove(0);
    let of_event = async |id: &str, status| {
        fixture.json(&format!("/v1/outcomes?source=/shops/berlin&id={id}"), status).await
    };
    for (id, job, event) in [("r-1", &first, "r-1"), ("r-2", &first, "r-1"), ("r-3", &other, "r-3")] {
        let found = of_event(id, 200).await;
        let [outcome] = &found["outcomes"].as_array().unwrap()[..] else { panic!("{found}") };
        assert_eq!(
            (outcome["job"].as_str(), outcome["event"]["id"].as_str()),
            (Some(job.as_str()), Some(event))
        );
    }
    let shown = fixture.json(&format!("/v1/jobs/{second}"), 200).await;
    assert_eq!((&shown["id"], &shown["duplicates"]), (&json!(first.as_str()), &json!(1)));
    assert_eq!(fixture.json(&format!("/v1/outcomes/{second}"), 200).await["job"], first.as_str());
    let snapshot = Messages::open(&fixture, second.as_str(), None)
        .await
        .until(|message| message.name == "snapshot")
        .await;
    assert_eq!(snapshot.data["id"], first.as_str());
    // Nobody changes one job and means another.
    let refused = fixture.change(&format!("/v1/jobs/{second}/cancel"), json!(null), 404).await;
    assert!(refused["detail"].as_str().unwrap().contains(first.as_str()), "{refused}");

    let emails = Operator::new(fixture.queue("emails"));
    emails.cancel(&first).await.unwrap();
    emails.forget(std::slice::from_ref(&first), Duration::ZERO).await.unwrap();
    for gone in [of_event("r-2", 404).await, fixture.json(&format!("/v1/jobs/{second}"), 404).await] {
        let detail = gone["detail"].as_str().unwrap();
        assert!(detail.contains(first.as_str()) && detail.contains("duplicate"), "{detail}");
    }
    fixture.finish().await;
}
