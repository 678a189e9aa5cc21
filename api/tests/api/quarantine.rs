//! The list of messages in quarantine.

use std::time::Duration;

use lapin::BasicProperties;
use redis::AsyncCommands;
use serde_json::{Value, json};
use upshot_ledger::{
    keys::Keys,
    quarantine::{Bounds, Facts, MessageId, Quarantine},
};
use upshot_runtime::amqp::{Address, Publisher, QUARANTINE};
use upshot_shared::Reason;
use upshot_testkit::within;

use crate::fixture::{Fixture, PATIENCE};

const BOUNDS: Bounds = Bounds { keep: Duration::from_secs(3600), keep_bytes: 1 << 20 };

fn id(n: u32) -> MessageId {
    MessageId::of("k", &BasicProperties::default(), &n.to_be_bytes())
}

async fn record(fixture: &Fixture, n: u32, reason: Reason) {
    let facts = Facts {
        place: format!("/data/{n}"),
        detail: "a number is expected".to_owned(),
        size: 7,
        routing_key: "k".to_owned(),
        kind: Some(format!("type-{}", n % 2)),
        source: Some("/shop".to_owned()),
        event_id: Some(n.to_string()),
        subject: None,
    };
    let rows = Quarantine::new(&fixture.connector).unwrap();
    rows.record(&id(n), reason, &facts, BOUNDS).await.unwrap();
}

/// The event ids of all pages of a list.
async fn listed(fixture: &Fixture, path: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), json!(path));
    while let Some(path) = next.as_str() {
        let page = fixture.json(path, 200).await;
        let ids = page["messages"].as_array().unwrap().iter().map(|each| each["event_id"].as_str().unwrap());
        found.extend(ids.map(str::to_owned));
        next = page["next"].clone();
    }
    found
}

#[tokio::test]
async fn messages_are_listed_the_newest_first_with_filters() {
    let fixture = Fixture::new().await;
    let empty = fixture.json("/v1/quarantine", 200).await;
    assert_eq!((&empty["messages"], &empty["summary"]["listed"]), (&json!([]), &json!(0)));
    for n in 0..12 {
        record(&fixture, n, if n < 4 { Reason::Oversize } else { Reason::UnknownType }).await;
    }
    let all: Vec<String> = (0..12).rev().map(|n| n.to_string()).collect();
    for limit in [1, 5, 200] {
        assert_eq!(listed(&fixture, &format!("/v1/quarantine?limit={limit}")).await, all);
    }
    assert_eq!(listed(&fixture, "/v1/quarantine?reason=oversize&limit=3").await, ["3", "2", "1", "0"]);
    assert_eq!(listed(&fixture, "/v1/quarantine?type=type-1&reason=oversize").await, ["3", "1"]);
    assert_eq!(listed(&fixture, "/v1/quarantine?source=/other").await.len(), 0);
    let middle = fixture.json(&format!("/v1/quarantine/{}", id(6)), 200).await;
    let first_seen = middle["first_seen"].as_str().unwrap();
    let since = listed(&fixture, &format!("/v1/quarantine?since={first_seen}&limit=1")).await;
    let until = listed(&fixture, &format!("/v1/quarantine?until={first_seen}")).await;
    assert_eq!([since, until].concat(), all);

    let page = fixture.json("/v1/quarantine?limit=1", 200).await;
    assert_eq!(page["messages"][0], fixture.json(page["messages"][0]["link"].as_str().unwrap(), 200).await);
    assert_eq!((&middle["place"], &middle["subject"]), (&json!("/data/6"), &Value::Null));
    assert_eq!((&middle["times"], &middle["type"]), (&json!(1), &json!("type-0")));
    let summary = &page["summary"];
    assert_eq!((&summary["listed"], &summary["in_rabbitmq"]), (&json!(12), &Value::Null));
    assert_eq!(summary["reasons"]["oversize"], json!({"listed": 4, "received": 4}));
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let fixture = Fixture::new().await;
    for (query, parameter, remedy) in [
        ("reason=bad", "reason", "malformed_json, not_a_cloud_event"),
        ("since=yesterday", "since", "2026-03-14T09:30:00Z"),
        ("until=2026-03-14", "until", "2026-03-14T09:30:00Z"),
        ("cursor=x", "cursor", "unchanged"),
        ("limit=201", "limit", "1 to 200"),
        ("kind=a", "kind", "reason, type, source, subject"),
        ("type=", "type", "leave it out"),
    ] {
        let problem = fixture.json(&format!("/v1/quarantine?{query}"), 400).await;
        assert_eq!(problem["parameter"], parameter, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(remedy), "{query}: {detail}");
    }
    let problem = fixture.json("/v1/quarantine/1042", 400).await;
    assert!(problem["detail"].as_str().unwrap().contains("26 characters"), "{problem}");
    let problem = fixture.json(&format!("/v1/quarantine/{}", id(9)), 404).await;
    assert_eq!(problem["code"], "unknown-message");
    assert!(problem["detail"].as_str().unwrap().contains("quarantine.keep"), "{problem}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_damaged_list_says_so_and_a_damaged_row_stands_among_the_others() {
    let fixture = Fixture::new().await;
    let keys = Keys::new(fixture.connector.prefix());
    let mut conn = fixture.connector.connect().unwrap();
    for n in 0..2 {
        record(&fixture, n, Reason::Oversize).await;
    }
    let _: () = conn.hset(keys.rows(), id(0).as_str(), "x").await.unwrap();
    let page = fixture.json("/v1/quarantine", 200).await;
    assert_eq!(page["messages"][1]["reason"], "damaged");
    assert_eq!(fixture.json("/v1/quarantine?reason=damaged", 200).await["messages"][0], page["messages"][1]);
    let _: () = conn.set(keys.book(), "x").await.unwrap();
    let problem = fixture.json("/v1/quarantine", 503).await;
    assert!(problem["detail"].as_str().unwrap().contains(&keys.book()), "{problem}");
    // Figures that cannot be read are missing; the others are there.
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("upshot_queue_up") && !metrics.contains("upshot_quarantine_messages"));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_compared_with_rabbitmq() {
    let fixture = Fixture::with_rabbit().await;
    let publisher = Publisher::new(Address::of_url(fixture.amqp()), "test", true, PATIENCE);
    // Three copies that the list does not know, as an earlier version left them.
    for _ in 0..3 {
        publisher.publish(QUARANTINE, "", b"x", BasicProperties::default(), true).await.unwrap();
    }
    for n in 0..2 {
        record(&fixture, n, Reason::Oversize).await;
    }
    let compared = async {
        loop {
            let summary = fixture.json("/v1/quarantine", 200).await["summary"].clone();
            if summary["in_rabbitmq"] == 3 {
                return summary;
            }
        }
    };
    let summary = within("the API knows RabbitMQ's count", compared).await;
    assert_eq!(
        (&summary["copies"], &summary["unlisted"], &summary["missing"]),
        (&json!(2), &json!(1), &json!(0))
    );
    for n in 2..5 {
        record(&fixture, n, Reason::UnknownType).await;
    }
    let summary = fixture.json("/v1/quarantine", 200).await["summary"].clone();
    assert_eq!(
        (&summary["copies"], &summary["unlisted"], &summary["missing"]),
        (&json!(5), &json!(0), &json!(2))
    );
    let counted = async {
        loop {
            let metrics = fixture.get("/metrics").await.text().await.unwrap();
            if metrics.contains("\nupshot_quarantine_missing 2\n") {
                return metrics;
            }
        }
    };
    let metrics = within("the metrics say the same", counted).await;
    for line in [
        "upshot_quarantine_messages 5",
        "upshot_quarantine_unlisted 0",
        "upshot_quarantine_received_total{reason=\"oversize\"} 2",
        "upshot_quarantine_received_total{reason=\"unknown_type\"} 3",
        "upshot_quarantine_received_total{reason=\"unreadable\"} 0",
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is not in {metrics}");
    }
    publisher.close().await;
    fixture.finish().await;
}
