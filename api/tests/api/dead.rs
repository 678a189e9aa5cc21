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
        ("retrying", json!(0)),
        ("again_since", json!(null)),
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
    for (query, n) in [
        ("kind=a", 1),
        ("kind=c", 0),
        ("past=true", 0),
        ("since=2000-01-01T00:00:00Z", 2),
        ("until=2000-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(
            fixture.json(&format!("/v1/dead?{query}"), 200).await["groups"].as_array().unwrap().len(),
            n,
            "{query}"
        );
    }
    for query in ["queue=nowhere", "limit=0", "skip=-1", "group=x", "since=x", "past=yes"] {
        fixture.json(&format!("/v1/dead?{query}"), 400).await;
    }
    fixture.finish().await;
}

/// Asked for one, a group tells what was done about it, also when it has no jobs any more.
#[tokio::test]
async fn a_group_tells_its_history() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let group = fixture.json(&format!("/v1/jobs/{}", ids[0]), 200).await["group"].clone();
    let address = format!("/v1/dead/{}", group.as_str().unwrap());
    let body = fixture.json(&address, 200).await;
    assert_eq!((&body["fingerprint"], &body["dead"], &body["acts"]), (&group, &json!(3), &json!([])));
    assert_eq!(body["tenants"], json!([{"tenant": "acme", "count": 2}, {"tenant": "blum", "count": 1}]));
    assert_eq!((&body["tenants_seen"], &body["other_tenants"]), (&json!(2), &json!(0)));
    let blum = fixture.json("/v1/tenants/blum", 200).await;
    assert_eq!((&blum["causes"][0]["group"], &blum["causes"][0]["count"]), (&group, &json!(1)));
    assert_eq!(blum["causes"].as_array().unwrap().len(), 1, "{blum}");
    let hours = body["hours"].as_array().unwrap();
    assert_eq!(hours.iter().map(|hour| hour["count"].as_u64().unwrap()).sum::<u64>(), 3, "{body}");
    let listed = fixture.json(&format!("/v1/jobs?group={}", group.as_str().unwrap()), 200).await;
    let listed: Vec<_> =
        listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [ids[2].as_str(), ids[1].as_str(), ids[0].as_str()]);
    let none = fixture.json("/v1/jobs?state=dead&until=2000-01-01T00:00:00Z", 200).await;
    assert_eq!(none["jobs"], json!([]));

    let queue = upshot_queue::Client::new(&fixture.connector, "invoices".parse().unwrap()).unwrap();
    let operator = upshot_queue::Operator::new(queue).acting("ada");
    operator.retry_paced(&ids[..3], std::time::Duration::ZERO).await.unwrap();
    let body = fixture.json(&address, 200).await;
    assert_eq!((&body["acts"][0]["retried"], &body["acts"][0]["not_ended"]), (&json!(3), &json!(3)));
    assert_eq!(
        (&body["dead"], &body["sample"], &body["last_message"]),
        (&json!(0), &json!(null), &json!(null))
    );
    let past = fixture.json("/v1/dead?past=true", 200).await;
    assert_eq!((past["groups"].as_array().unwrap().len(), &past["groups"][0]["fingerprint"]), (1, &group));
    assert_eq!(fixture.json(&format!("{address}?queue=emails"), 404).await["code"], "unknown-failures");
    fixture.json("/v1/dead/0123456789abcdef", 404).await;
    for bad in ["/v1/dead/x", "/v1/jobs?group=x", "/v1/jobs?since=x"] {
        fixture.json(bad, 400).await;
    }
    fixture.finish().await;
}
