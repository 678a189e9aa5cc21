//! The links of a 202, before the bridge has enqueued the jobs.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use upshot_queue::JobId;

use crate::{
    fixture::{Fixture, body, event, report},
    stream::Messages,
};

/// A time so many seconds ago, UTC ms.
fn ago(seconds: u128) -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() - seconds * 1000
}

#[tokio::test]
async fn the_links_of_a_202_say_not_yet_until_the_job_is_there() {
    let fixture = Fixture::with_rabbit().await;
    let event = event("e-1");
    let accepted = body(fixture.post(event.to_string()).await, 202).await;
    assert_eq!(accepted["duplicate"], false);
    let job = &accepted["jobs"][0];
    for link in ["url", "outcome"] {
        let response = fixture.get(job[link].as_str().unwrap()).await;
        assert_eq!(response.headers()["retry-after"], "1");
        let not_yet = body(response, 202).await;
        assert_eq!(not_yet["status"], "accepted", "{not_yet}");
    }
    let mut messages = Messages::follow(&fixture, job["progress"].as_str().unwrap()).await;
    let waiting = messages.next().await.unwrap();
    assert_eq!((waiting.name.as_str(), &waiting.data["status"]), ("waiting", &json!("accepted")));

    fixture.enqueue_event(&event).await;
    let snapshot = messages.next().await.unwrap();
    assert_eq!((snapshot.name.as_str(), &snapshot.data["state"]), ("snapshot", &json!("ready")));
    for (link, field) in [("url", "state"), ("outcome", "status")] {
        let found = fixture.json(job[link].as_str().unwrap(), 200).await;
        assert!(found[field].is_string(), "{found}");
    }
    // The links of what is there say nothing of it.
    let again = body(fixture.post(event.to_string()).await, 202).await;
    assert_eq!(again["duplicate"], true);
    for link in ["url", "progress", "outcome"] {
        assert!(!again["jobs"][0][link].as_str().unwrap().contains("accepted"), "{again}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn the_outcomes_of_an_event_of_several_jobs_are_not_yet_there() {
    let fixture = Fixture::with_rabbit().await;
    let mut event = event("e-2");
    event["type"] = json!("order.confirmed.v1");
    let response = fixture.post(event.to_string()).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    body(response, 202).await;
    assert_eq!(body(fixture.get(&location).await, 202).await["status"], "accepted");
    fixture.enqueue_event(&event).await;
    let found = fixture.json(&location, 200).await;
    assert_eq!(found["outcomes"].as_array().map(Vec::len), Some(2));
    fixture.finish().await;
}

/// Two events that give the same key may be on their way at the same time.
#[tokio::test]
async fn the_stream_of_a_later_duplicate_is_that_of_the_job_that_stands_for_it() {
    let fixture = Fixture::with_rabbit().await;
    let (first, second) = (report("r-1", "2026-01"), report("r-2", "2026-01"));
    let accepted = body(fixture.post(second.to_string()).await, 202).await;
    let mut messages = Messages::follow(&fixture, accepted["jobs"][0]["progress"].as_str().unwrap()).await;
    assert_eq!(messages.next().await.unwrap().name, "waiting");
    let standing = fixture.enqueue_event(&first).await.remove(0);
    fixture.enqueue_event(&second).await;
    let snapshot = messages.next().await.unwrap();
    assert_eq!((snapshot.name.as_str(), snapshot.data["id"].as_str()), ("snapshot", Some(standing.as_str())));
    fixture.finish().await;
}

#[tokio::test]
async fn what_was_accepted_long_ago_is_unknown() {
    let fixture = Fixture::new().await;
    let id = JobId::random();
    for path in [format!("/v1/jobs/{id}"), format!("/v1/outcomes/{id}"), format!("/v1/jobs/{id}/progress")] {
        fixture.json(&path, 404).await;
        fixture.json(&format!("{path}?accepted={}", ago(3601)), 404).await;
        let refused = fixture.json(&format!("{path}?accepted=soon"), 400).await;
        assert_eq!((&refused["parameter"], &refused["value"]), (&json!("accepted"), &json!("soon")));
    }
    for path in [format!("/v1/jobs/{id}"), format!("/v1/outcomes/{id}")] {
        let not_yet: Value = fixture.json(&format!("{path}?accepted={}", ago(3000)), 202).await;
        assert!(not_yet["detail"].as_str().unwrap().contains("quarantine"), "{not_yet}");
    }
    fixture.finish().await;
}
