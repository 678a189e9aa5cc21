//! Files that outcomes name.

use data_encoding::HEXLOWER;
use reqwest::header;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use upshot_queue::JobId;

use crate::{
    fixture::{Fixture, body, job},
    stream::Messages,
    worker::Worker,
};

const CONTENT: &str = "%PDF-1.7 an invoice";

fn hash(content: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(content))
}

/// A job that succeeded with this outcome.
async fn succeeded(fixture: &Fixture, outcome: Value) -> JobId {
    let id = fixture.enqueue("invoices", job("1", "invoice.issue")).await;
    let worker = Worker::start(&fixture.connector, "invoices", move |_, _| {
        let outcome = outcome.clone();
        async { Ok(outcome) }
    });
    Messages::open(fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    worker.stop().await;
    id
}

fn object(key: &str, content_type: &str) -> Value {
    json!({"kind": "object", "key": key, "sha256": hash(CONTENT), "content_type": content_type, "bytes": "19"})
}

fn write(fixture: &Fixture, key: &str, content: &str) {
    let path = fixture.store().join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_file_is_read_by_the_link_of_its_job() {
    let fixture = Fixture::new().await;
    write(&fixture, "invoices/2026/RE 1042.pdf", CONTENT);
    write(&fixture, "invoices/page.html", CONTENT);
    let evidence =
        [object("invoices/2026/RE 1042.pdf", "application/pdf"), object("invoices/page.html", "text/html")];
    let id = succeeded(&fixture, json!({"summary": "stored", "evidence": evidence})).await;
    let shown = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    let link = shown["links"]["files"][0].as_str().unwrap();
    assert!(link.ends_with("/files/RE%201042.pdf"), "{link}");
    assert_eq!(shown["outcome"]["evidence"][0]["href"], link);

    let response = fixture.get(link).await;
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "application/pdf");
    assert_eq!(headers[header::CONTENT_LENGTH], "19");
    assert_eq!(headers[header::ETAG].to_str().unwrap(), format!("\"{}\"", hash(CONTENT)));
    assert!(headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("sandbox"));
    assert_eq!(response.text().await.unwrap(), CONTENT);

    let copied =
        fixture.client.get(link).header(header::IF_NONE_MATCH, &headers[header::ETAG]).send().await.unwrap();
    assert_eq!(copied.status(), 304);
    // Markup from a handler is not shown by a browser under our address.
    let page = fixture.get(shown["links"]["files"][1].as_str().unwrap()).await;
    assert!(page.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    fixture.finish().await;
}

#[tokio::test]
async fn nothing_else_can_be_read() {
    let fixture = Fixture::new().await;
    write(&fixture, "invoices/1042.pdf", CONTENT);
    write(&fixture, "invoices/other.pdf", "of somebody else");
    let mut evidence = vec![object("invoices/1042.pdf", "application/pdf")];
    evidence.push(object("../escape.pdf", "application/pdf"));
    evidence.push(object("/etc/passwd", "text/plain"));
    evidence.push(json!({"kind": "mail", "key": "invoices/other.pdf"}));
    let id = succeeded(&fixture, json!({"summary": "stored", "evidence": evidence})).await;
    let outside = fixture.store().parent().unwrap().join("escape.pdf");
    assert!(!outside.exists());
    for name in
        ["other.pdf", "..", "..%2Fother.pdf", "invoices%2F1042.pdf", "%2Fetc%2Fpasswd", "1042.pdf%00", "%FF"]
    {
        // The client would resolve `..` by itself, so the request is made by hand.
        let status = raw(&fixture, &format!("/v1/jobs/{id}/files/{name}")).await;
        assert!(matches!(status, 400 | 404), "{name}: {status}");
    }
    // Named by the outcome, but no places in the store.
    for name in ["escape.pdf", "passwd"] {
        body(fixture.get(&format!("/v1/jobs/{id}/files/{name}")).await, 410).await;
    }
    assert_eq!(fixture.get(&format!("/v1/jobs/{id}/files/1042.pdf")).await.status(), 200);
    body(fixture.get(&format!("/v1/jobs/{}/files/1042.pdf", JobId::random())).await, 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_file_that_is_gone_or_altered_is_not_passed_off_as_evidence() {
    let fixture = Fixture::new().await;
    write(&fixture, "altered.pdf", "%PDF-1.7 a forgery!");
    let evidence = [object("gone.pdf", "application/pdf"), object("altered.pdf", "application/pdf")];
    let id = succeeded(&fixture, json!({"summary": "stored", "evidence": evidence})).await;
    let gone = fixture.json(&format!("/v1/jobs/{id}/files/gone.pdf"), 410).await;
    assert_eq!(gone["code"], "file-gone");
    let altered = fixture.client.get(fixture.url(&format!("/v1/jobs/{id}/files/altered.pdf"))).send().await;
    // It breaks off: with or without headers, never with the whole content.
    if let Ok(response) = altered {
        assert!(response.text().await.is_err());
    }
    fixture.finish().await;
}

/// The status of a request whose path is sent exactly as it is written.
async fn raw(fixture: &Fixture, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = fixture.base.trim_start_matches("http://");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
}
