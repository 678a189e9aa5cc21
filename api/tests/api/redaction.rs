//! No answer shows personal data, unless the request reveals it.

use bytes::Bytes;
use lapin::BasicProperties;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use upshot_ledger::quarantine::{Bounds, Facts, MessageId, Quarantine};
use upshot_queue::{Condition, Failure, JobId, NewJob, Park, Progress, Stop};
use upshot_shared::Reason;

use crate::{
    fixture::{Fixture, body, event, job},
    stream::Messages,
    worker::Worker,
};

/// Whose data the jobs have.
const ADDRESS: &str = "ada.lovelace@customers.example";
const SHORT: &str = "a…@customers.example";
/// What no answer may show.
const MARKER: &str = "lovelace";
/// The operations that take `reveal`.
const REVEALING: [&str; 5] = ["list_acts", "show_job", "show_outcome", "show_quarantined", "tell_story"];

/// What an operation is asked about.
struct About {
    /// Jobs of every kind, and one whose stream ends.
    jobs: Vec<JobId>,
    ended: JobId,
    message: MessageId,
    /// A group of failures.
    group: String,
}

fn said(words: &str) -> String {
    format!("{words} {ADDRESS}")
}

fn subject_job(id: &str) -> NewJob {
    let mut data = event(id)["data"].clone();
    data["customer"] = json!({"name": "Ada Lovelace", "email": ADDRESS, "address": ["Lovelace Street 1"], "vat_id": "DE123456789"});
    data["note"] = json!(said("write to"));
    NewJob {
        subject: Some("order-1042".to_owned()),
        limit_keys: vec![format!("customer:{ADDRESS}")],
        ..NewJob { args: Bytes::from(data.to_string()), ..job(id, "invoice.issue") }
    }
}

/// Jobs in every state, with the address wherever a handler can put it.
async fn jobs(fixture: &Fixture) -> (Vec<JobId>, Worker) {
    let mut ids = Vec::new();
    for id in ["done", "odd", "dead", "waits", "parked"] {
        ids.push(fixture.enqueue("invoices", subject_job(id)).await);
    }
    // Arguments that are not JSON, of a job without an event.
    let plain = NewJob {
        args: Bytes::from_static(b"customer Ada Lovelace"),
        labels: BTreeMap::new(),
        delay: Duration::from_secs(3600),
        ..subject_job("plain")
    };
    ids.push(fixture.enqueue("invoices", plain).await);
    let worker = Worker::start_any(&fixture.connector, "invoices", |job, lease| async move {
        let progress = Progress { percent: 50, step: None, message: Some(said("mail to")) };
        lease.progress(&progress).await.unwrap();
        lease.log(&said("wrote to")).await.unwrap();
        lease.complete_step("send", &json!({"to": ADDRESS, ADDRESS: [ADDRESS]})).await.unwrap();
        match job.labels["id"].as_str() {
            "done" => Ok(json!({"summary": said("sent to"), "evidence": [{"kind": "mail", "to": ADDRESS}]})),
            "odd" => Ok(json!(said("no outcome"))),
            "waits" => Err(Stop::from(Failure::transient(said("greylisted")))),
            "parked" => Err(Stop::from(Park {
                condition: Condition::new(None, &said("confirmed by")).unwrap(),
                within: Some(Duration::from_secs(3600)),
                why: said("waits for"),
            })),
            _ => Err(Stop::from(Failure::permanent(said("no such mailbox:")))),
        }
    });
    for (id, state) in ids.iter().zip(["succeeded", "succeeded", "dead", "scheduled", "parked"]) {
        let mut messages = Messages::open(fixture, id.as_str(), None).await;
        messages.until(|message| message.data["state"] == state).await;
    }
    (ids, worker)
}

async fn quarantined(fixture: &Fixture) -> MessageId {
    let id = MessageId::of("k", &BasicProperties::default(), b"1");
    let facts = Facts {
        place: "/time".to_owned(),
        detail: said("this is no time:"),
        size: 7,
        routing_key: "k".to_owned(),
        kind: None,
        source: None,
        event_id: None,
        subject: Some("order-1042".to_owned()),
    };
    let bounds = Bounds { keep: Duration::from_secs(3600), keep_bytes: 1 << 20 };
    Quarantine::new(&fixture.connector)
        .unwrap()
        .record(&id, Reason::InvalidAttribute, &facts, bounds)
        .await
        .unwrap();
    id
}

/// The addresses of an operation that reads, for all that exists.
fn paths(path: &str, operation: &Value, about: &About) -> Vec<String> {
    let ids: Vec<&str> = match path {
        "/v1/quarantine/{id}" => vec![about.message.as_str()],
        // A stream of a job that goes on has no end.
        "/v1/jobs/{id}/progress" => vec![about.ended.as_str()],
        _ if path.contains("{id}") => about.jobs.iter().map(JobId::as_str).collect(),
        _ => vec![""],
    };
    let takes = |name: &str| {
        operation["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == name)
    };
    let query = match operation["operationId"].as_str() {
        _ if takes("args") => "args=true",
        Some("sum_up_outcomes") => "by=cause",
        _ => "",
    };
    let path = path.replace("{group}", &about.group);
    let path =
        path.replace("{subject}", "order-1042").replace("{queue}", "invoices").replace("{name}", "a.pdf");
    ids.iter().map(|id| format!("{}?{query}", path.replace("{id}", id))).collect()
}

#[tokio::test]
async fn no_answer_shows_personal_data_unless_it_is_revealed() {
    let fixture = Fixture::new().await;
    let (jobs, worker) = jobs(&fixture).await;
    let group =
        fixture.json(&format!("/v1/jobs/{}", jobs[2]), 200).await["group"].as_str().unwrap().to_owned();
    let about = About { ended: jobs[0].clone(), jobs, message: quarantined(&fixture).await, group };
    let dead = &about.jobs[2];
    for (verb, word) in [("note", "note"), ("owner", "owner")] {
        let remark = json!({word: said("ask"), "by": ADDRESS});
        let changed = fixture.change(&format!("/v1/outcomes/{dead}/{verb}"), remark, 200).await;
        assert!(!changed.to_string().contains(MARKER), "{changed}");
    }
    for payload in [json!({"from": ADDRESS}), json!(said("from"))] {
        let signal = json!({"key": said("early"), "payload": payload});
        fixture.change("/v1/queues/invoices/signals", signal, 200).await;
    }
    let other = json!({"args": subject_args()});
    let refused = fixture.change(&format!("/v1/jobs/{dead}/retry"), other.clone(), 409).await;
    assert_eq!(refused["code"], "steps-completed");
    assert!(!refused.to_string().to_lowercase().contains(MARKER), "{refused}");

    let document: Value = serde_json::from_str(&upshot_api::openapi()).unwrap();
    let mut revealing = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(operation) = methods.get("get") else { continue };
        let id = operation["operationId"].as_str().unwrap();
        let mut revealed = false;
        for path in paths(path, operation, &about) {
            let answer = fixture.get(&path).await.text().await.unwrap().to_lowercase();
            assert!(!answer.contains(MARKER), "{id}: {path}: {answer}");
            let shown = fixture.get(&format!("{path}&reveal=true")).await;
            revealed |= shown.status() == 200 && shown.text().await.unwrap().contains(ADDRESS);
        }
        if revealed {
            revealing.push(id.to_owned());
        }
    }
    revealing.sort();
    assert_eq!(revealing, REVEALING);

    let shown = fixture.json(&format!("/v1/jobs/{dead}?args=true"), 200).await;
    assert_eq!(
        shown["args"]["customer"],
        json!({"name": "…", "email": "…", "address": "…", "vat_id": "DE123456789"})
    );
    assert_eq!(shown["args"]["note"], format!("write to {SHORT}"));
    assert_eq!(shown["history"][0]["message"], format!("no such mailbox: {SHORT}"));
    assert_eq!(shown["steps"][0]["result"], json!({"to": SHORT, SHORT: [SHORT]}));
    let all = fixture.json(&format!("/v1/jobs/{dead}?args=true&reveal=true"), 200).await;
    assert_eq!(all["args"]["customer"]["address"][0], "Lovelace Street 1");
    let plain = &about.jobs[5];
    let shown = fixture.json(&format!("/v1/jobs/{plain}?args=true"), 200).await;
    assert_eq!(shown["args"], "…");
    let all = fixture.json(&format!("/v1/jobs/{plain}?args=true&reveal=true"), 200).await;
    assert_eq!(all["args"], "customer Ada Lovelace");
    fixture.json(&format!("/v1/jobs/{plain}?reveal=yes"), 400).await;

    // Nobody runs a job with the marks instead of the values.
    let copied = json!({"args": shown_args(&fixture, dead).await, "repeat_steps": ["send"]});
    let refused = fixture.change(&format!("/v1/jobs/{dead}/retry"), copied, 422).await;
    assert_eq!(refused["code"], "invalid-arguments");
    assert!(refused["detail"].as_str().unwrap().contains("reveal=true"), "{refused}");

    // Replaced arguments are hidden alike, and so is the answer to the change.
    let agreed = json!({"args": subject_args(), "repeat_steps": ["send"]});
    let retried = body(fixture.send("POST", &format!("/v1/jobs/{dead}/retry"), &agreed).await, 202).await;
    assert!(!retried.to_string().to_lowercase().contains(MARKER), "{retried}");
    let shown = fixture.json(&format!("/v1/jobs/{dead}?args=true"), 200).await;
    assert_eq!(shown["earlier_args"][0]["customer"]["name"], "…");
    assert!(!shown.to_string().to_lowercase().contains(MARKER), "{shown}");
    worker.stop().await;
    fixture.finish().await;
}

/// The arguments as an answer shows them.
async fn shown_args(fixture: &Fixture, id: &JobId) -> Value {
    fixture.json(&format!("/v1/jobs/{id}?args=true"), 200).await["args"].clone()
}

/// Other arguments, of the same customer.
fn subject_args() -> Value {
    let mut args: Value = serde_json::from_slice(&subject_job("dead").args).unwrap();
    args["order_number"] = json!("1043");
    args
}

#[tokio::test]
async fn a_problem_leads_to_its_page() {
    let fixture = Fixture::new().await;
    let problem = fixture.json(&format!("/v1/jobs/{}", JobId::random()), 404).await;
    assert_eq!(problem["type"], "/problems/unknown-job");
    let page = fixture.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    assert!(page.contains("<h2>Cause</h2>") && page.contains("<h2>Remedy</h2>"), "{page}");
    let document: Value = serde_json::from_str(&upshot_api::openapi()).unwrap();
    for code in document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap() {
        let page = fixture.get(&format!("/problems/{}", code.as_str().unwrap())).await;
        assert_eq!(page.status(), 200, "{code}");
    }
    let unknown = fixture.json("/problems/%3Cscript%3E", 404).await;
    assert_eq!(unknown["code"], "unknown-address");
    fixture.finish().await;
}
