//! Dead jobs, grouped by cause.

use serde_json::{Value, json};
use upshot_queue::{Failure, JobId, NewJob};

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

/// Five dead jobs: of kind `a` 1, 2 (of tenant acme) and 3 (of tenant blum), and
/// of kind `b` 4 and 5. They die in the order of their numbers.
pub async fn bury(fixture: &Fixture) -> Vec<JobId> {
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
