//! Receipts that are made from moves.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use upshot_queue::{Expectation, NewJob, failure::FailedAttempt};
use upshot_shared::receipt::schema;

use super::*;

const AT: i64 = 1_773_480_413_589;

fn queue() -> QueueName {
    "invoices".parse().unwrap()
}

fn job() -> Job {
    let mut new = NewJob::new(JobId::derive(&["x"]), "invoice.issue", "the secret arguments");
    new.labels =
        BTreeMap::from([LABEL_ID, LABEL_SOURCE, LABEL_TYPE].map(|name| (name.into(), format!("its {name}"))));
    new.subject = Some("order-1042".to_owned());
    new.tenant = Some("acme".to_owned());
    new.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let mut job = Job::sample(&queue(), new, AT - 60_000);
    job.expectation = Some(Expectation { route: 3, due: AT + 60_000, account: Account::Open });
    job
}

fn entry(moves: &[(u32, Account, Account, &[&JobId])]) -> Entry {
    let moved = |(route, from, to, jobs): &(u32, Account, Account, &[&JobId])| Move {
        route: *route,
        from: *from,
        to: *to,
        jobs: jobs.iter().map(|id| (*id).clone()).collect(),
    };
    Entry { id: format!("{AT}-7"), transitions: Vec::new(), moves: moves.iter().map(moved).collect() }
}

/// The receipt of a move of the job, which keeps its contract.
fn receipt(job: &Job, from: Account, to: Account) -> Value {
    let entry = entry(&[(3, from, to, &[&job.id])]);
    let told = told(&entry).next().unwrap();
    let made =
        Maker::new("upshot", queue()).receipt(&told, Some("order.completed.v1:invoice.issue"), Some(job));
    let read: Value = serde_json::from_slice(&made.body()).unwrap();
    assert_keeps_contract(&read, told.verdict);
    read
}

fn assert_keeps_contract(receipt: &Value, verdict: Verdict) {
    let contract = jsonschema::options().should_validate_formats(true).build(&schema(verdict)).unwrap();
    if let Err(error) = contract.validate(&receipt["data"]) {
        panic!("{verdict}: {error} in {receipt}");
    }
    assert_eq!(receipt["type"], verdict.event_type());
}

#[test]
fn an_achieved_outcome_is_told_with_its_evidence_and_without_arguments() {
    let mut job = job();
    job.state = State::Succeeded;
    let evidence = json!({"kind": "object", "key": "a.pdf"});
    job.outcome = Some(json!({"summary": "issued", "evidence": [evidence]}));
    let told = receipt(&job, Account::Open, Account::AchievedInTime);
    assert_eq!(told["source"], "/upshot/upshot/invoices");
    assert_eq!(told["id"], format!("{AT}-7:{}:achieved", job.id));
    assert_eq!((&told["subject"], &told["tenant"]), (&json!("order-1042"), &json!("acme")));
    assert_eq!(told["time"], "2026-03-14T09:26:53.589Z");
    assert_eq!(told["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let data = &told["data"];
    assert_eq!(data["event"], json!({"source": "its source", "id": "its id", "type": "its type"}));
    assert_eq!((&data["summary"], &data["evidence"]), (&json!("issued"), &json!([evidence])));
    assert_eq!((&data["status"], &data["in_time"]), (&json!("achieved_in_time"), &json!(true)));
    assert_eq!(data["decided_at"], told["time"]);
    assert!(!told.to_string().contains("secret"));
    let late = receipt(&job, Account::Overdue, Account::AchievedLate);
    assert_eq!((&late["data"]["status"], &late["data"]["in_time"]), (&json!("achieved_late"), &json!(false)));
    job.outcome = Some(json!(["any", "value"]));
    assert_eq!(receipt(&job, Account::Open, Account::AchievedLate)["data"]["summary"], r#"["any","value"]"#);
}

#[test]
fn a_receipt_tells_of_its_move_although_the_job_has_moved_on() {
    let mut job = job();
    let failed = |at, message: &str| FailedAttempt {
        at,
        attempt: 1,
        class: FailureClass::Permanent,
        message: message.to_owned(),
        worker: None,
        began: None,
    };
    job.history = vec![failed(AT - 9_000, "before"), failed(AT + 2, "this one"), failed(AT + 9_000, "later")];
    let change = |at, did: &str, note: &str| Change {
        at,
        did: did.to_owned(),
        note: Some(note.to_owned()),
        by: Some("ada".to_owned()),
        worker: None,
        attempt: None,
        began: None,
    };
    job.changes = vec![
        change(AT - 20_000, "waived", "earlier"),
        change(AT - 5, "waived", "sent by letter"),
        change(AT, "noted", "x"),
        change(AT + 1_000, "retried", "mended"),
    ];
    // It was retried, and achieved meanwhile.
    job.state = State::Succeeded;
    job.group = Some("0123456789abcdef".to_owned());
    job.outcome = Some(json!({"summary": "issued", "evidence": []}));
    let missed = receipt(&job, Account::Open, Account::Missed);
    let reason = json!({"class": "permanent", "message": "this one", "group": null});
    assert_eq!((&missed["data"]["reason"], &missed["data"]["summary"]), (&reason, &Value::Null));
    let overdue = receipt(&job, Account::Open, Account::Overdue);
    assert_eq!(overdue["data"]["reason"]["message"], "before");
    assert_eq!(overdue["data"]["decided_at"], Value::Null);
    for (from, to) in [(Account::Open, Account::Waiving), (Account::Missed, Account::Waived)] {
        let waived = receipt(&job, from, to);
        assert_eq!(waived["data"]["decision"], json!({"reason": "sent by letter", "by": "ada"}));
        assert_eq!(waived["data"]["status"], "waived");
    }
    let reopened = receipt(&job, Account::Missed, Account::Reopened);
    assert_eq!(reopened["data"]["decision"]["reason"], "mended");
}

#[test]
fn a_job_that_is_forgotten_has_a_receipt_all_the_same() {
    let id = JobId::derive(&["gone"]);
    let entry = entry(&[(3, Account::Open, Account::Cancelled, &[&id])]);
    let told = told(&entry).next().unwrap();
    let made = Maker::new("upshot", queue()).receipt(&told, None, None);
    let read: Value = serde_json::from_slice(&made.body()).unwrap();
    assert_keeps_contract(&read, Verdict::Cancelled);
    assert_eq!((&read["data"]["job"], &read["data"]["route"]), (&json!(id.as_str()), &json!("unknown")));
    assert_eq!(read["subject"], Value::Null);
    assert_eq!(made.routing_key(), "unknown.cancelled");
}

#[test]
fn moves_without_a_route_and_settled_ones_tell_nothing() {
    let (a, b) = (JobId::derive(&["a"]), JobId::derive(&["b"]));
    let entry = entry(&[
        (0, Account::Open, Account::Missed, &[&a]),
        (3, Account::Missed, Account::Reopened, &[&a, &b]),
        (3, Account::Waiving, Account::Waived, &[&a]),
        (3, Account::Reopened, Account::Missed, &[&b]),
    ]);
    let told: Vec<_> = told(&entry).map(|told| (told.n, told.verdict, told.job)).collect();
    assert_eq!(
        told,
        [(0, Verdict::Reopened, &a), (1, Verdict::Reopened, &b), (2, Verdict::Missed, &b)],
        "in order"
    );
}

proptest! {
    #[test]
    fn every_receipt_keeps_its_contract(
        from in 0usize..14,
        to in 0usize..14,
        text in any::<String>(),
        is_final in any::<bool>(),
        is_known in any::<bool>(),
    ) {
        let (from, to) = (Account::ALL[from], Account::ALL[to]);
        let mut job = job();
        job.kind.clone_from(&text);
        job.subject = Some(text.clone());
        job.tenant = Some(text.clone());
        job.trace = Some(text.clone());
        job.outcome = Some(json!({"summary": text, "evidence": [{"kind": "object", "key": text}]}));
        job.state = if is_final { State::Succeeded } else { State::Dead };
        job.labels.insert(LABEL_ID.to_owned(), text.clone());
        let entry = entry(&[(3, from, to, &[&job.id])]);
        for told in told(&entry) {
            let route = is_known.then_some(text.as_str());
            let made = Maker::new(&text, queue()).receipt(&told, route, is_known.then_some(&job));
            let read: Value = serde_json::from_slice(&made.body()).unwrap();
            assert_keeps_contract(&read, told.verdict);
            prop_assert!(made.routing_key().len() < 256);
        }
    }
}
