//! Logs never hold the data of an event, whatever becomes of the event.

use lapin::BasicProperties;
use serde_json::{Value, json};
use upshot_queue::State;
use upshot_shared::event::STRUCTURED;
use upshot_tests::{Process, Stage, orders::order};

const MARKER: &str = "m4rker";

/// An order whose data has the marker in every field that may have it.
fn marked(number: u32) -> Value {
    let mut event = order(number);
    event["data"] = json!({
        "order_number": format!("{MARKER}-{number}"),
        "completed_at": "2026-03-01T12:00:00Z",
        "currency": "EUR",
        "customer": {
            "name": format!("Ada {MARKER}"),
            "email": format!("ada.{MARKER}@{MARKER}.example"),
            "address": [format!("{MARKER} 4"), "10115 Berlin"],
            "vat_id": format!("DE{MARKER}"),
        },
        "note": format!("{MARKER}: ring twice"),
        "lines": [{
            "sku": MARKER, "description": format!("Teapot {MARKER}"),
            "quantity": 1, "unit_price": "29.00", "vat_rate": "19",
        }],
    });
    event
}

fn with(number: u32, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = marked(number);
    change(&mut event);
    event
}

/// Stops a process and looks for the marker in all that it logged.
async fn without_marker(name: &str, process: Process) {
    let said = process.stop_and_read().await;
    assert!(said.contains("INFO"), "{name} logs nothing at this level: {said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(MARKER)).collect();
    assert!(lines.is_empty(), "{name}: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_the_data_of_an_event() {
    let stage = Stage::new().await;
    let filter = ("UPSHOT_LOG__FILTER", "info".to_owned());
    let bridge = stage.start("bridge", std::slice::from_ref(&filter)).await;
    let executor = stage.start("executor", std::slice::from_ref(&filter)).await;
    let (api, url) = stage.start_api_with(std::slice::from_ref(&filter)).await;
    let client = reqwest::Client::new();
    let post = async |event: String| {
        let request = client.post(format!("{url}/v1/events")).header("content-type", STRUCTURED);
        request.body(event).send().await.unwrap().status().as_u16()
    };

    // Accepted and achieved, over AMQP and over HTTP.
    let (over_amqp, over_http) = (marked(1), marked(2));
    stage.publish(&over_amqp).await;
    assert_eq!(post(over_http.to_string()).await, 202);
    for event in [&over_amqp, &over_http] {
        stage.succeeded(&stage.job_of(event)).await;
    }

    // In quarantine: a violation in each field, an unknown type, what is not JSON, what is too large.
    let lists: [(&str, Value); 6] = [
        ("/data/order_number", json!(format!("{MARKER} {MARKER}"))),
        ("/data/currency", json!(MARKER)),
        ("/data/customer/email", json!(format!("{MARKER}..@{MARKER}"))),
        ("/data/lines/0/quantity", json!(MARKER)),
        ("/data/customer", json!(MARKER)),
        ("/time", json!(MARKER)),
    ];
    let mut bad: Vec<String> = Vec::new();
    for (place, value) in lists {
        bad.push(with(4, |event| *event.pointer_mut(place).unwrap() = value).to_string());
    }
    bad.push(with(5, |event| event["type"] = json!("order.lost.v9")).to_string());
    bad.push(format!("{{\"data\": \"{MARKER}"));
    bad.push(format!("{{\"data\": {MARKER}}}"));
    bad.push(with(6, |event| event["data"]["note"] = json!(MARKER.repeat(20_000))).to_string());
    for event in &bad {
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        stage.publish_raw("order.completed.v1", event.as_bytes(), properties).await;
        let status = post(event.clone()).await;
        assert!((400..500).contains(&status), "{status}: {event}");
    }
    // A conflict with an accepted event.
    let conflict = with(1, |event| event["data"]["note"] = json!(format!("{MARKER} again")));
    stage.publish(&conflict).await;
    assert_eq!(stage.quarantined(bad.len() + 1).await.len(), bad.len() + 1);

    // This bridge accepts what the shipped contract does not: one job dies of its data, and one
    // waits for a program that can read its arguments.
    without_marker("bridge", bridge).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.completed.v1.schema.json"), "{}").unwrap();
    let contracts = ("UPSHOT_CONTRACTS__DIR", folder.path().display().to_string());
    let lenient = stage.start("bridge", &[filter, contracts]).await;
    let dies =
        with(7, |event| event["data"]["customer"]["email"] = json!(format!("{MARKER}..@{MARKER}.example")));
    let unreadable = with(8, |event| event["data"]["lines"] = json!(MARKER));
    for (event, state) in [(&dies, State::Dead), (&unreadable, State::Parked)] {
        stage.publish(event).await;
        let job = stage.until(&stage.job_of(event), |job| job.state == state).await;
        assert!(String::from_utf8_lossy(&job.args).contains(MARKER), "{job:?}");
    }
    let id = stage.job_of(&dies);

    // Arguments that an operator gives, and that are refused.
    let retry = client.post(format!("{url}/v1/jobs/{id}/retry")).header("content-type", "application/json");
    let answer = retry.body(json!({"args": {"order_number": [MARKER]}}).to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 422);

    for (name, process) in [("lenient bridge", lenient), ("executor", executor), ("api", api)] {
        without_marker(name, process).await;
    }
    stage.finish().await;
}
