//! Schedules: made, shown with their next due times, changed, paused, run, removed; and those of settings.

use serde_json::{Value, json};
use upshot_queue::State;

use crate::fixture::{Fixture, body};

const PATH: &str = "/v1/schedules/emails/nightly";

fn nightly() -> Value {
    json!({
        "name": "nightly", "queue": "emails", "job": "order.confirm", "cron": "30 2 * * *", "zone": "Europe/Berlin",
        "arguments": {"to": "ada@shop.example"}, "tenant": "acme", "within": "1h",
    })
}

async fn make(fixture: &Fixture) -> Value {
    fixture.change("/v1/schedules", nightly(), 201).await
}

async fn change(fixture: &Fixture, what: &str, status: u16) -> Value {
    fixture.change(&format!("{PATH}/{what}"), json!({}), status).await
}

#[tokio::test]
async fn a_schedule_is_made_and_shown() {
    let fixture = Fixture::new().await;
    let made = make(&fixture).await;
    assert_eq!((&made["origin"], &made["by"], &made["paused"]), (&json!("api"), &json!("api"), &Value::Null));
    let next = made["next"].as_array().unwrap();
    assert_eq!(next.len(), 5);
    assert!(next.iter().all(|due| due["local"].as_str().unwrap().contains("T0")), "{next:?}");
    let shown = fixture.json(PATH, 200).await;
    assert_eq!(shown, made);
    assert_eq!(make(&fixture).await, made, "the same again finds it");
    assert_eq!(made["definition"]["arguments"], Value::Null);
    let revealed = fixture.json(&format!("{PATH}?reveal=true"), 200).await;
    assert_eq!(revealed["definition"]["arguments"], json!({"to": "ada@shop.example"}));
    let list = fixture.json("/v1/schedules", 200).await;
    assert_eq!((list["schedules"].as_array().unwrap().len(), &list["schedules"][0]), (1, &made));
    let of_queue = fixture.json("/v1/schedules?queue=invoices", 200).await;
    assert_eq!(
        of_queue,
        json!({"schedules": [], "sets": [{"queue": "invoices", "version": 0, "not_stored": []}]})
    );
    // No worker is there.
    assert_eq!(made["troubles"][0]["trouble"], "unknown_kind");
    let mut other = nightly();
    other["job"] = json!("order.reserve");
    assert_eq!(fixture.change("/v1/schedules", other, 409).await["code"], "schedule-exists");
    fixture.finish().await;
}

#[tokio::test]
async fn a_schedule_is_paused_run_and_removed() {
    let fixture = Fixture::new().await;
    let made = make(&fixture).await;
    let paused = change(&fixture, "pause", 200).await;
    assert_eq!((&paused["paused"]["by"], &paused["next"]), (&json!("api"), &json!([])));
    let started = change(&fixture, "run", 202).await;
    let id = started["job"].as_str().unwrap();
    let job = fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await;
    assert_eq!((&job["kind"], &job["tenant"]), (&json!("order.confirm"), &json!("acme")));
    assert_eq!(fixture.json(&format!("/v1/outcomes/{id}"), 200).await["route"], "schedule");
    let shown = fixture.json(PATH, 200).await;
    let last = &shown["last"];
    assert_eq!((&last["job"], &last["due"]), (&json!(id), &Value::Null));
    assert_eq!((&last["state"], &last["outcome"]), (&json!("ready"), &json!("open")));
    let resumed = change(&fixture, "resume", 200).await;
    assert_eq!((&resumed["paused"], &resumed["next"]), (&Value::Null, &made["next"]));
    let removed = body(fixture.send("DELETE", PATH, &Value::Null).await, 200).await;
    assert_eq!(removed, json!({"removed": "nightly"}));
    assert_eq!(fixture.json(PATH, 404).await["code"], "unknown-schedule");
    change(&fixture, "run", 404).await;
    let counts = fixture.queue("emails").counts().await.unwrap();
    assert_eq!(counts.of(State::Ready), 1, "its job stays");
    fixture.finish().await;
}

#[tokio::test]
async fn a_change_keeps_the_due_time_unless_the_times_differ() {
    let fixture = Fixture::new().await;
    let made = make(&fixture).await;
    let put = async |said: &Value, status| body(fixture.send("PUT", PATH, said).await, status).await;
    let mut other = nightly();
    other["within"] = json!("2h");
    let changed = put(&other, 200).await;
    assert_eq!((&changed["next"], &changed["definition"]["within"]), (&made["next"], &json!("2h")));
    assert!(changed["version"].as_u64() > made["version"].as_u64());
    let stale = fixture.client.put(fixture.url(PATH)).header("content-type", "application/json");
    let stale = stale.header("if-match", format!("\"{}\"", made["version"])).body(nightly().to_string());
    let conflict = body(stale.send().await.unwrap(), 409).await;
    assert_eq!(
        (&conflict["code"], &conflict["stored_version"]),
        (&json!("version-conflict"), &changed["version"])
    );
    other["cron"] = json!("45 7 * * *");
    let moved = put(&other, 200).await;
    assert!(moved["next"][0]["local"].as_str().unwrap().contains("T07:45:00"), "{moved}");
    other["name"] = json!("another");
    assert!(put(&other, 400).await["detail"].as_str().unwrap().contains("`name`"));
    fixture.finish().await;
}

#[tokio::test]
async fn settings_are_applied_from_the_version_that_was_seen() {
    let fixture = Fixture::new().await;
    make(&fixture).await;
    let weekly = json!({"name": "weekly", "queue": "emails", "job": "order.confirm", "cron": "0 3 * * 1"});
    let apply = async |schedules: Value, version: u64, status| {
        let said = json!({"schedules": schedules, "expect_version": version});
        body(fixture.send("PUT", "/v1/schedules/emails", &said).await, status).await
    };
    let first = apply(json!([weekly]), 0, 200).await;
    assert_eq!(first["sets"], json!([{"queue": "emails", "version": 1, "not_stored": []}]));
    assert_eq!(first["schedules"].as_array().unwrap().len(), 2);
    assert_eq!(apply(json!([]), 0, 409).await["stored_version"], 1);
    assert_eq!(apply(json!([nightly()]), 1, 409).await["code"], "schedule-exists");
    assert!(apply(json!([weekly, weekly]), 1, 400).await["detail"].as_str().unwrap().contains("twice"));
    let path = "/v1/schedules/emails/weekly";
    for (method, said) in [("PUT", weekly.clone()), ("DELETE", Value::Null)] {
        let refused = body(fixture.send(method, path, &said).await, 409).await;
        assert_eq!(refused["code"], "schedule-of-settings");
    }
    fixture.change(&format!("{path}/pause"), json!({}), 200).await;
    assert_eq!(apply(json!([]), 1, 200).await["schedules"].as_array().unwrap().len(), 1);
    fixture.json(path, 404).await;
    fixture.finish().await;
}

/// Nobody works on the queue, so nobody stored the schedule of the settings; then somebody takes its name.
#[tokio::test]
async fn a_schedule_of_the_settings_that_is_not_stored_is_named() {
    let fixture = Fixture::with_settings(|settings| {
        settings.schedules = vec![serde_json::from_value(nightly()).unwrap()];
    })
    .await;
    let not_stored = async |fixture: &Fixture| {
        let list = fixture.json("/v1/schedules?queue=emails", 200).await;
        list["sets"][0]["not_stored"].clone()
    };
    assert_eq!(not_stored(&fixture).await, json!(["nightly"]));
    make(&fixture).await;
    assert_eq!(not_stored(&fixture).await, json!(["nightly"]));
    body(fixture.send("DELETE", PATH, &Value::Null).await, 200).await;
    let said = json!({"schedules": [nightly()], "expect_version": 0});
    body(fixture.send("PUT", "/v1/schedules/emails", &said).await, 200).await;
    assert_eq!(not_stored(&fixture).await, json!([]));
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let fixture = Fixture::new().await;
    for (key, value, words) in [
        ("cron", json!("0 25 * * *"), "0 25 * * *"),
        ("cron", json!("0 0 30 2 *"), "never due"),
        ("zone", json!("Europe/Berlln"), "Europe/Berlln"),
        ("every", json!("5m"), "`cron` and `every`"),
        ("within", json!("soon"), "soon"),
        ("jitter", json!("24h"), "less than 23h"),
        ("subject", json!("a\u{0}b"), "control characters"),
        ("queue", json!("emials"), "emails, invoices"),
        ("name", json!("a/b"), "`name`"),
        ("when", json!("now"), "when"),
    ] {
        let mut said = nightly();
        said[key] = value;
        let problem = fixture.change("/v1/schedules", said, 400).await;
        assert!(problem["detail"].as_str().unwrap().contains(words), "`{words}` is not in {problem}");
    }
    assert_eq!(fixture.json("/v1/schedules", 200).await["schedules"], json!([]));
    fixture.finish().await;
}
