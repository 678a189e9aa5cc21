//! What cannot be accepted is kept with its reason, and nothing else is disturbed.

use lapin::{BasicProperties, message::Delivery};
use serde_json::{Value, json};
use upshot_shared::event::STRUCTURED;
use upshot_tests::{Stage, orders::order};

/// Stands for a place that is too long to be written out.
const LONG: &str = "(long)";

fn header(delivery: &Delivery, name: &str) -> String {
    let headers = delivery.properties.headers().as_ref().unwrap();
    headers.inner().get(name).and_then(|value| value.as_long_string()).unwrap().to_string()
}

fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut event = order(500);
    change(&mut event);
    event.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_event_is_kept_with_reason_and_place_and_the_queue_flows_on() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (b"{\"specversion\":".to_vec(), "malformed_json", "/specversion"),
        (b"[1, 2]".to_vec(), "not_a_cloud_event", ""),
        (with(|event| event["type"] = json!("order.lost.v9")), "unknown_type", "/type"),
        (
            with(|event| event["data"]["lines"][0]["quantity"] = json!("many")),
            "contract_violation",
            "/data/lines/0/quantity",
        ),
        (with(|event| event["data"]["lines"] = json!([])), "contract_violation", "/data/lines"),
        (with(|event| drop(event.as_object_mut().unwrap().remove("id"))), "missing_attribute", "/id"),
        (with(|event| drop(event.as_object_mut().unwrap().remove("data"))), "contract_violation", "/data"),
        (with(|event| event["specversion"] = json!("0.3")), "invalid_attribute", "/specversion"),
        // A name that would burst the headers of the quarantined message.
        (format!("{{\"{}\":{{}},\"data\":1}}", "n".repeat(60_000)).into_bytes(), "invalid_attribute", LONG),
        (with(|event| event["data"]["note"] = json!("x".repeat(70_000))), "oversize", ""),
    ];
    let good = [order(501), order(502)];
    stage.publish(&good[0]).await;
    for (body, ..) in &cases {
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        stage.publish_raw("order.completed.v1", body, properties).await;
    }
    stage.publish_raw("order.completed.v1", b"plain", BasicProperties::default()).await;
    stage.publish(&good[1]).await;

    let kept = stage.quarantined(cases.len() + 1).await;
    // Copies are published at the same time, so they come in any order.
    let copy_of = |body: &[u8]| kept.iter().find(|each| each.data == body).expect("not in quarantine");
    for (body, reason, place) in &cases {
        let delivery = copy_of(body);
        if *place == LONG {
            assert_eq!(header(delivery, "x-upshot-reason"), *reason);
            assert!(header(delivery, "x-upshot-place").len() < 1_100);
            continue;
        }
        let said = (header(delivery, "x-upshot-reason"), header(delivery, "x-upshot-place"));
        assert_eq!(
            said,
            ((*reason).to_owned(), (*place).to_owned()),
            "{}",
            header(delivery, "x-upshot-detail")
        );
        assert_eq!(header(delivery, "x-upshot-routing-key"), "order.completed.v1");
    }
    assert_eq!(header(copy_of(b"plain"), "x-upshot-reason"), "not_a_cloud_event");
    for event in &good {
        stage.succeeded(&stage.job_of(event)).await;
    }
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_dies_between_row_and_acknowledgement_counts_the_message_once() {
    let stage = Stage::new().await;
    let (api, address) = stage.start_api().await;
    stage
        .publish(&serde_json::from_slice(&with(|event| event["type"] = json!("order.lost.v9"))).unwrap())
        .await;
    // The bridge aborts right after Redis has the row.
    let crashing = stage.start("bridge", &[("UPSHOT_CRASH_AFTER", "1".to_owned())]).await;
    let (succeeded, said) = crashing.ended().await;
    assert!(!succeeded && said.contains("UPSHOT_CRASH_AFTER"), "{said}");
    let bridge = stage.start("bridge", &[]).await;
    // RabbitMQ has a copy of each time, and both lead to the one row.
    let copies = stage.quarantined(2).await;
    bridge.stop().await;
    let ids: Vec<String> = copies.iter().map(|copy| header(copy, "x-upshot-quarantine-id")).collect();
    assert_eq!(ids[0], ids[1]);
    let read = async |path: String| -> Value {
        reqwest::get(format!("{address}{path}")).await.unwrap().json().await.unwrap()
    };
    let message = read(format!("/v1/quarantine/{}", ids[0])).await;
    assert_eq!((&message["times"], &message["type"]), (&json!(2), &json!("order.lost.v9")), "{message}");
    let summary = read("/v1/quarantine".to_owned()).await["summary"].clone();
    assert_eq!((&summary["listed"], &summary["copies"]), (&json!(1), &json!(2)), "{summary}");
    assert_eq!(summary["reasons"]["unknown_type"], json!({"listed": 1, "received": 1}));
    api.stop().await;
    stage.finish().await;
}
