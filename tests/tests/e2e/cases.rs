//! Inputs that failed in trials from outside, each with its right value: `tests/cases`. Messages
//! that clients choke on are in `poison.rs`.

use std::path::Path;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use upshot_shared::event::STRUCTURED;
use upshot_tests::{Stage, orders::order};

/// What is right.
enum Right {
    /// The order is invoiced.
    Invoiced,
    /// The event is set aside, with this reason at this place.
    Refused(&'static str, &'static str),
}

use Right::{Invoiced, Refused};

const FILES: [(&str, Right); 10] = [
    ("bigint_id_1", Invoiced),
    ("bigint_id_2", Invoiced),
    ("date9999", Refused("contract_violation", "/data/completed_at")),
    ("dupkey", Refused("malformed_json", "/data/currency")),
    ("emailDotAt", Refused("contract_violation", "/data/customer/email")),
    ("emailDoubleDot", Refused("contract_violation", "/data/customer/email")),
    ("emailIDN", Invoiced),
    ("note_CRLF", Invoiced),
    ("qty_1e2", Invoiced),
    ("qty_2.0", Invoiced),
];

fn structured() -> BasicProperties {
    BasicProperties::default().with_content_type(STRUCTURED.into())
}

/// An order as a binary event whose attributes have other types than text.
fn binary(event: &Value) -> (BasicProperties, Vec<u8>) {
    let mut headers = FieldTable::default();
    for name in ["specversion", "id", "source", "type", "subject"] {
        let value = event[name].as_str().unwrap();
        headers.insert(format!("cloudEvents_{name}").as_str().into(), AMQPValue::LongString(value.into()));
    }
    // Milliseconds as an integer, and bytes.
    headers.insert("cloudEvents_time".into(), AMQPValue::LongLongInt(1_773_480_413_589));
    headers.insert("cloudEvents_tenant".into(), AMQPValue::ByteArray(b"acme".to_vec().into()));
    let properties =
        BasicProperties::default().with_content_type("Application/JSON".into()).with_headers(headers);
    (properties, event["data"].to_string().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_input_that_failed_has_its_right_value() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let (mut invoiced, mut refused) = (Vec::new(), Vec::new());
    for (name, right) in &FILES {
        let body = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
        let key = "order.completed.v1";
        stage.publish_raw(key, &body, structured()).await;
        match right {
            Invoiced => {
                let mut event: Value = serde_json::from_slice(&body).unwrap();
                if name.starts_with("bigint") {
                    // As text, digit by digit: a reader of numbers would round it.
                    let digits = String::from_utf8_lossy(&body);
                    let digits = digits.split("\"id\": ").nth(1).unwrap().split(',').next().unwrap();
                    event["id"] = json!(digits);
                }
                invoiced.push((*name, stage.job_of(&event)));
            }
            Refused(reason, place) => refused.push((*name, body, *reason, *place)),
        }
    }
    // A trace context of 513 bytes in a header beside a structured event.
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString("a".repeat(513).as_str().into()));
    let traced = order(1);
    stage.publish_raw("t", traced.to_string().as_bytes(), structured().with_headers(headers)).await;
    invoiced.push(("traceparent_513", stage.job_of(&traced)));
    // A time as milliseconds, a tenant as bytes.
    let typed = order(2);
    let (properties, body) = binary(&typed);
    stage.publish_raw("t", &body, properties).await;
    invoiced.push(("py_binary_time", stage.job_of(&typed)));
    // A structured event that carries its attributes as headers as well.
    let both = order(3);
    let (properties, _) = binary(&both);
    stage
        .publish_raw("t", both.to_string().as_bytes(), properties.with_content_type(STRUCTURED.into()))
        .await;
    invoiced.push(("struct_with_metadata_headers", stage.job_of(&both)));

    for (name, id) in &invoiced {
        let job = stage.succeeded(id).await;
        if *name == "py_binary_time" {
            assert_eq!(job.tenant.as_deref(), Some("acme"), "{name}");
        }
    }
    let kept = stage.quarantined(refused.len()).await;
    for (name, body, reason, place) in &refused {
        let delivery = kept.iter().find(|each| each.data == *body);
        let delivery = delivery.unwrap_or_else(|| panic!("{name} is not in quarantine"));
        let headers = delivery.properties.headers().as_ref().unwrap().inner();
        let header = |name: &str| headers.get(name).unwrap().as_long_string().unwrap().to_string();
        let said = (header("x-upshot-reason"), header("x-upshot-place"));
        assert_eq!(
            said,
            ((*reason).to_owned(), (*place).to_owned()),
            "{name}: {}",
            header("x-upshot-detail")
        );
    }
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

/// Over HTTP: what is answered is what happens.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_over_http_is_done_and_can_be_watched_at_once() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let (api, url) = stage.start_api().await;
    let client = reqwest::Client::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let post = async |headers: Vec<(String, String)>, body: Vec<u8>| {
        let request = client.post(format!("{url}/v1/events")).body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let is_structured = || vec![("content-type".to_owned(), STRUCTURED.to_owned())];

    // It is larger in the form in which it is published, and refused as that.
    let headers = std::fs::read_to_string(folder.join("http_binary_65530.headers.json")).unwrap();
    let headers: std::collections::BTreeMap<String, String> = serde_json::from_str(&headers).unwrap();
    let headers = headers.into_iter().chain([("content-type".to_owned(), "application/json".to_owned())]);
    let body = std::fs::read(folder.join("http_binary_65530.json")).unwrap();
    let (status, problem) = post(headers.collect(), body).await;
    assert_eq!((status, &problem["reason"]), (413, &json!("oversize")), "{problem}");

    let body = std::fs::read(folder.join("http_id_300.json")).unwrap();
    let (status, accepted) = post(is_structured(), body.clone()).await;
    assert_eq!(status, 202, "{accepted}");
    stage.succeeded(&stage.job_of(&serde_json::from_slice(&body).unwrap())).await;

    // An `EventSource` never asks again after anything but 200.
    for n in 1..=40 {
        let (status, accepted) = post(is_structured(), order(n).to_string().into_bytes()).await;
        assert_eq!(status, 202, "{accepted}");
        let stream = client.get(accepted["jobs"][0]["progress"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let events = stream.text().await.unwrap();
        assert!(events.contains("event: end") && !events.contains("event: gone"), "{events}");
    }
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}
