//! An order becomes a stored and mailed invoice, with evidence.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;
use upshot_tests::{Stage, orders::order};

pub async fn text_of(pdf: &std::path::Path) -> String {
    let output =
        Command::new("pdftotext").args(["-layout".as_ref(), pdf.as_os_str(), "-".as_ref()]).output().await;
    String::from_utf8(output.expect("poppler-utils is installed by scripts/setup").stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_as_a_pdf_in_the_store_and_in_the_inbox() {
    let stage = Stage::new().await;
    let (api, url) = stage.start_api().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let events: Vec<Value> = (1..=12).map(order).collect();
    for event in &events {
        stage.publish(event).await;
    }
    for event in &events {
        let id = stage.job_of(event);
        let job = stage.succeeded(&id).await;
        let number = job.subject.as_deref().unwrap().trim_start_matches("order-").to_owned();

        let answer: Value =
            reqwest::get(format!("{url}/v1/outcomes/{id}")).await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "achieved_in_time");
        assert_eq!(answer["in_time"], true);
        let evidence: BTreeMap<&str, &Value> =
            answer["evidence"].as_array().unwrap().iter().map(|e| (e["kind"].as_str().unwrap(), e)).collect();
        assert!(evidence["mail"]["reply"].as_str().unwrap().starts_with("250"), "{answer}");

        let stored = stage.files().join(evidence["object"]["key"].as_str().unwrap());
        let bytes = std::fs::read(&stored).unwrap();
        assert_eq!(evidence["object"]["sha256"], HEXLOWER.encode(&Sha256::digest(&bytes)));
        let linked = reqwest::get(evidence["object"]["href"].as_str().unwrap()).await.unwrap();
        assert_eq!(linked.headers()["content-type"], "application/pdf");
        assert_eq!(linked.bytes().await.unwrap(), bytes);

        let text = text_of(&stored).await;
        for word in [
            format!("INV-{number}"),
            "Teapot".into(),
            "39.00".into(),
            "7.41".into(),
            "46.41".into(),
            "Page 1 of 1".into(),
        ] {
            assert!(text.contains(&word), "`{word}` is not on the invoice:\n{text}");
        }
    }
    let mails = stage.mail.messages().unwrap();
    assert_eq!(mails.len(), events.len());
    let to: Vec<String> = mails.iter().map(|mail| mail.header("To").unwrap()).collect();
    for number in 1..=12 {
        assert!(to.iter().any(|to| to.contains(&format!("ada.{number}@customers.example"))), "{to:?}");
    }
    let raw = String::from_utf8_lossy(&mails[0].raw).into_owned();
    assert!(raw.contains("application/pdf") && raw.contains("filename=\"INV-"), "{raw}");

    // The trace context of the producer reaches the handler's span.
    let line = executor.logged(&["achieved", "order-1-completed"]).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(line["span"]["event_id"], "order-1-completed");
    assert_eq!(line["span"]["attempt"], 1);

    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_binary_mode_is_understood() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let event = order(77);
    let mut headers = FieldTable::default();
    for name in ["specversion", "id", "source", "type", "subject", "time", "tenant"] {
        let value = AMQPValue::LongString(event[name].as_str().unwrap().into());
        headers.insert(format!("cloudEvents:{name}").into(), value);
    }
    let properties =
        BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
    stage.publish_raw("order.completed.v1", event["data"].to_string().as_bytes(), properties).await;
    let job = stage.succeeded(&stage.job_of(&event)).await;
    assert_eq!((job.subject.as_deref(), job.tenant.as_deref()), (Some("order-77"), Some("test")));
    assert_eq!(job.labels["type"], json!("order.completed.v1"));
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}
