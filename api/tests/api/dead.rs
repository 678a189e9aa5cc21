//! Dead jobs: grouped by cause, retried and forgotten in numbers.

use serde_json::{Value, json};
use upshot_queue::{Failure, JobId, NewJob};

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

/// Five dead jobs: of kind `a` 1, 2 (of tenant acme) and 3 (of tenant blum), and
/// of kind `b` 4 and 5. They die in the order of their numbers.
async fn bury(fixture: &Fixture) -> Vec<JobId> {
    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        let subject = job.subject.as_deref().unwrap_or_default();
        Err(Failure::permanent(format!("no customer `{subject}`")))
    });
    let mut ids = Vec::new();
    for n in 1..=5 {
        let tenant = Some(if n == 3 { "blum" } else { "acme" }.to_owned());
        let kind = if n <= 3 { "a" } else { "b" };
        let id = fixture.enqueue("invoices", NewJob { tenant, ..job(&n.to_string(), kind) }).await;
        let mut messages = Messages::open(fixture, id.as_str(), None).await;
        messages.until(|message| message.data["state"] == "dead").await;
        ids.push(id);
    }
    worker.stop().await;
    ids
}

async fn states(fixture: &Fixture, ids: &[JobId]) -> Vec<Value> {
    let mut states = Vec::new();
    for id in ids {
        states.push(fixture.json(&format!("/v1/jobs/{id}"), 200).await["state"].clone());
    }
    states
}

#[tokio::test]
async fn dead_jobs_are_grouped_by_cause() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.json("/v1/dead", 200).await, json!({"groups": [], "next": null}));
    let ids = bury(&fixture).await;
    let all = fixture.json("/v1/dead", 200).await;
    let groups = all["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{all}");
    let (last, first) = (&groups[0], &groups[1]);
    for (name, value) in [
        ("queue", json!("invoices")),
        ("class", json!("permanent")),
        ("kind", json!("a")),
        ("message", json!("no customer <*>")),
        ("last_message", json!("no customer `order-3`")),
        ("count", json!(3)),
        ("dead", json!(3)),
        ("sample", json!(fixture.url(&format!("/v1/jobs/{}", ids[2])))),
    ] {
        assert_eq!(first[name], value, "{name} of {first}");
    }
    assert!(first["first_seen"].as_str() <= first["last_seen"].as_str(), "{first}");
    assert_eq!((&last["kind"], &last["dead"]), (&json!("b"), &json!(2)));
    let sample = fixture.json(first["sample"].as_str().unwrap(), 200).await;
    assert_eq!(sample["group"], first["fingerprint"]);

    let page = fixture.json("/v1/dead?limit=1&queue=invoices", 200).await;
    assert_eq!(page["groups"][0], *last);
    let page = fixture.json(page["next"].as_str().unwrap(), 200).await;
    assert_eq!((&page["groups"][0], &page["next"]), (first, &Value::Null));
    assert_eq!(fixture.json("/v1/dead?queue=emails", 200).await["groups"], json!([]));
    for query in ["queue=nowhere", "limit=0", "skip=-1", "group=x"] {
        fixture.json(&format!("/v1/dead?{query}"), 400).await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_group_is_retried_at_a_pace() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let group = fixture.json(&format!("/v1/jobs/{}", ids[0]), 200).await["group"].clone();
    let said = json!({"queue": "invoices", "group": group, "pace": "1h"});
    let done = fixture.change("/v1/dead/retry", said.clone(), 200).await;
    assert_eq!(done, json!({"retried": 3, "next": null}));
    // One at once, the others an hour after each other: the longest dead first.
    assert_eq!(states(&fixture, &ids).await, ["ready", "scheduled", "scheduled", "dead", "dead"]);
    let mut due = Vec::new();
    for id in &ids[1..3] {
        let shown = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
        assert_eq!(shown["waiting_for"]["reason"], "retried", "{shown}");
        due.push(shown["waiting_for"]["retry_at"].as_str().unwrap().to_owned());
    }
    assert!(due[0] < due[1], "{due:?}");
    let again = fixture.change("/v1/dead/retry", said, 200).await;
    assert_eq!(again["retried"], 0);
    fixture.finish().await;
}

#[tokio::test]
async fn what_is_bounded_goes_on_with_the_next_call() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let (mut from, mut calls, mut retried) = (Value::Null, 0, 0);
    loop {
        let said = json!({"queue": "invoices", "tenant": "acme", "limit": 1, "from": from});
        let done = fixture.change("/v1/dead/retry", said, 200).await;
        retried += done["retried"].as_u64().unwrap();
        calls += 1;
        from = done["next"].clone();
        if from.is_null() {
            break;
        }
        assert!(calls < 10, "it does not end");
    }
    assert_eq!(retried, 4);
    assert_eq!(states(&fixture, &ids).await, ["ready", "ready", "dead", "ready", "ready"]);
    let rest = fixture.change("/v1/dead/retry", json!({"queue": "invoices"}), 200).await;
    assert_eq!(rest, json!({"retried": 1, "next": null}));
    fixture.finish().await;
}

/// Nobody is done with a walk whose jobs die again behind it, and they would be tried once
/// more for each time round.
#[tokio::test]
async fn what_dies_again_during_a_walk_is_not_retried_once_more() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let worker = Worker::start(&fixture.connector, "invoices", |_, _| async {
        Err(Failure::permanent("still no customer"))
    });
    // All, and those of a tenant, which are looked for among all.
    for (round, tenant, walked) in
        [(1, Value::Null, vec![0, 1, 2, 3, 4]), (2, json!("acme"), vec![0, 1, 3, 4])]
    {
        let (mut from, mut retried, mut calls) = (Value::Null, 0, 0);
        loop {
            let said = json!({"queue": "invoices", "tenant": tenant, "limit": 1, "from": from});
            let done = fixture.change("/v1/dead/retry", said, 200).await;
            calls += 1;
            assert!(calls <= walked.len() + 1, "the walk does not end: {done}");
            if done["retried"] == 1 {
                // It dies once more before the walk goes on.
                let place = walked.get(retried).expect("one is retried once more");
                let mut messages = Messages::open(&fixture, ids[*place].as_str(), None).await;
                let again = |data: &Value| data["state"] == "dead" && data["attempts"] == round + 1;
                messages.until(|message| again(&message.data)).await;
                retried += 1;
            }
            from = done["next"].clone();
            if from.is_null() {
                break;
            }
        }
        assert_eq!(retried, walked.len(), "of {tenant}");
    }
    for (id, attempts) in ids.iter().zip([3, 3, 2, 3, 3]) {
        let job = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
        assert_eq!((&job["state"], &job["attempts"].as_u64()), (&json!("dead"), &Some(attempts)), "{job}");
    }
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn only_what_is_old_enough_is_forgotten() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let purge = async |said| fixture.change("/v1/dead/purge", said, 200).await;
    let none = purge(json!({"queue": "invoices", "older_than": "7d"})).await;
    assert_eq!(none, json!({"purged": 0, "next": null}));
    let some = purge(json!({"queue": "invoices", "older_than": "0s", "kind": "b"})).await;
    assert_eq!(some, json!({"purged": 2, "next": null}));
    let one = purge(json!({"queue": "invoices", "older_than": "0s", "limit": 1})).await;
    assert_eq!(one["purged"], 1);
    fixture.json(&format!("/v1/jobs/{}", ids[0]), 404).await;
    assert_eq!(states(&fixture, &ids[1..3]).await, ["dead", "dead"]);
    let groups = fixture.json("/v1/dead", 200).await;
    assert_eq!(groups["groups"][0]["dead"], 2, "{groups}");
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_named() {
    let fixture = Fixture::new().await;
    for (path, said, parameter) in [
        ("retry", json!({"queue": "nowhere"}), "queue"),
        ("retry", json!({"queue": "emails", "limit": 10_001}), "limit"),
        ("retry", json!({"queue": "emails", "limit": 0}), "limit"),
        ("retry", json!({"queue": "emails", "pace": "2h"}), "pace"),
        ("retry", json!({"queue": "emails", "group": "no group"}), "group"),
        ("retry", json!({"queue": "emails", "tenant": ""}), "tenant"),
        ("retry", json!({"queue": "emails", "kid": "a"}), "kid"),
        ("retry", json!({"queue": "emails", "from": "x"}), "from"),
        ("purge", json!({"queue": "emails", "older_than": "old"}), "older_than"),
    ] {
        let problem = fixture.change(&format!("/v1/dead/{path}"), said, 400).await;
        assert_eq!(problem["parameter"], parameter, "{problem}");
    }
    let missing = fixture.change("/v1/dead/purge", json!({"queue": "emails"}), 400).await;
    assert!(missing["detail"].as_str().unwrap().contains("`older_than`"), "{missing}");
    fixture.finish().await;
}
