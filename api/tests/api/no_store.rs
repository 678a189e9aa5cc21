//! A program that is built without a store; `make test-all` runs this.

use serde_json::json;

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

#[tokio::test]
async fn a_file_is_refused_with_the_remedy() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let outcome = json!({"summary": "stored", "evidence": [{"kind": "object", "key": "invoices/1.pdf"}]});
    let worker = Worker::start(&fixture.connector, "invoices", move |_, _| {
        let outcome = outcome.clone();
        async { Ok(outcome) }
    });
    Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    worker.stop().await;
    let problem = fixture.json(&format!("/v1/jobs/{id}/files/1.pdf"), 501).await;
    assert_eq!(problem["code"], "not-built");
    assert!(problem["detail"].as_str().unwrap().contains("`files`"), "{problem}");
    fixture.finish().await;
}
