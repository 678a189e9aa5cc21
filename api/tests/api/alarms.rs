//! Alarms, and the webhook that is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use data_encoding::BASE64;
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use upshot_queue::{Expect, JobId, NewJob};
use upshot_runtime::settings::AlarmSettings;
use upshot_testkit::shared_redis;

use crate::fixture::{Fixture, NOBODY, PATIENCE, job};

const KEY: [u8; 32] = [42; 32];

/// A message as it came, after its signature was verified.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    id: String,
    body: Value,
}

impl Message {
    fn kind(&self) -> (&str, &str) {
        (self.body["type"].as_str().unwrap(), self.body["data"]["alarm"].as_str().unwrap())
    }
}

/// A receiver that verifies each message with code of its own.
struct Receiver {
    url: String,
    answers: Arc<Mutex<VecDeque<u16>>>,
    messages: mpsc::UnboundedReceiver<Message>,
    serving: JoinHandle<()>,
}

type Inside = (Arc<Mutex<VecDeque<u16>>>, mpsc::UnboundedSender<Message>);

impl Receiver {
    /// It answers so at first, and then 204.
    async fn start(answers: &[u16]) -> Self {
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let (told, messages) = mpsc::unbounded_channel();
        let inside: Inside = (Arc::clone(&answers), told);
        let router = Router::new().route("/hook", post(receive)).with_state(inside);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, answers, messages, serving }
    }

    fn settings(&self) -> AlarmSettings {
        AlarmSettings {
            webhook: self.url.as_str().into(),
            secret: Some(format!("whsec_{}", BASE64.encode(&KEY)).into()),
            every: Duration::from_millis(100),
            ..AlarmSettings::default()
        }
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.messages.recv());
        next.await.expect("nothing was told").unwrap()
    }

    /// Ends it; nothing else came.
    async fn finish(mut self) {
        self.serving.abort();
        assert!(self.serving.await.unwrap_err().is_cancelled());
        assert_eq!(self.messages.try_recv().ok(), None);
    }
}

async fn receive(State((answers, told)): State<Inside>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &body].concat();
    let signature =
        BASE64.decode(header("webhook-signature").strip_prefix("v1,").unwrap().as_bytes()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed, &signature).expect("a wrong signature");
    assert!(chrono::Utc::now().timestamp().abs_diff(timestamp.parse().unwrap()) < 300);
    assert_eq!(header("content-type"), "application/json");
    told.send(Message { id, body: serde_json::from_slice(&body).unwrap() }).unwrap();
    let answer = answers.lock().unwrap().pop_front();
    StatusCode::from_u16(answer.unwrap_or(204)).unwrap()
}

async fn api(receiver: &Receiver, prefix: Option<&str>) -> Fixture {
    let alarms = receiver.settings();
    Fixture::with(&shared_redis().await.url(), &format!("amqp://{NOBODY}"), |settings| {
        settings.alarms = alarms;
        if let Some(prefix) = prefix {
            settings.redis.prefix = prefix.to_owned();
        }
    })
    .await
}

/// Enqueues a job whose outcome was due two hours ago.
async fn late(fixture: &Fixture, id: &str) -> JobId {
    let from = chrono::Utc::now().timestamp_millis() - 7_200_000;
    let expect = Expect { from: Some(from), ..Expect::new("late", Duration::ZERO) };
    fixture.enqueue("emails", NewJob { expect: Some(expect), ..job(id, "k") }).await
}

/// The alarms that are on.
fn on(found: &Value) -> Vec<&Value> {
    found["alarms"].as_array().unwrap().iter().filter(|alarm| alarm["on_since"].is_string()).collect()
}

/// Reads the alarms until this holds.
async fn until(fixture: &Fixture, wanted: impl Fn(&Value) -> bool) -> Value {
    let reads = async {
        loop {
            let found = fixture.json("/v1/alarms", 200).await;
            if wanted(&found) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reads).await.expect("the alarms are others")
}

#[tokio::test]
async fn a_cause_is_told_once_and_its_end_once_over_failures_and_restarts() {
    let mut receiver = Receiver::start(&[503]).await;
    let first = api(&receiver, None).await;
    let prefix = first.connector.prefix().to_owned();
    let second = api(&receiver, Some(&prefix)).await;
    until(&first, |found| found["looked_at"].is_string()).await;
    let mut ids = Vec::new();
    for id in ["a", "b", "c"] {
        ids.push(late(&first, id).await);
    }
    // It is away once, and is told the same again.
    let (told, again) = (receiver.next().await, receiver.next().await);
    assert_eq!(told, again);
    assert_eq!(told.kind(), ("alarm.fired", "oldest_open"));
    let data = &told.body["data"];
    assert_eq!(
        (&data["severity"], &data["labels"]),
        (&json!("critical"), &json!({"queue": "emails", "route": "late"}))
    );
    assert!(data["summary"].as_str().unwrap().starts_with("late: the oldest open outcome is late by 2 h"));
    let found = until(&second, |found| found["webhook"]["taken_at"].is_string()).await;
    let [alarm] = on(&found)[..] else { panic!("{found}") };
    assert_eq!((&alarm["alarm"], &alarm["labels"]["route"]), (&json!("oldest_open"), &json!("late")));
    // That 3 outcomes are overdue has to last before it is an alarm of its own.
    let mut all = found["alarms"].as_array().unwrap().iter();
    let overdue = all.find(|alarm| alarm["alarm"] == "overdue").unwrap();
    assert_eq!((&overdue["on_since"], &overdue["severity"]), (&json!(null), &json!("warning")));
    assert!(overdue["summary"].as_str().unwrap().starts_with("late: "), "{found}");
    let webhook = &found["webhook"];
    assert_eq!(
        (&webhook["is_set"], &webhook["waiting"], &webhook["last_failure"]),
        (&json!(true), &json!(0), &json!(null))
    );

    first.finish().await;
    second.finish().await;
    let third = api(&receiver, Some(&prefix)).await;
    for id in &ids {
        third.change(&format!("/v1/outcomes/{id}/waive"), json!({"reason": "told by phone"}), 200).await;
    }
    let over = receiver.next().await;
    assert_eq!(over.kind(), ("alarm.resolved", "oldest_open"));
    assert!(over.id != told.id && over.body["data"]["resolved_at"].is_string());
    assert_eq!(over.body["data"]["on_since"], data["on_since"]);
    until(&third, |found| found["webhook"]["waiting"] == 0).await;
    third.finish().await;
    receiver.finish().await;
}

#[tokio::test]
async fn a_receiver_that_answers_410_is_told_nothing_more() {
    let mut receiver = Receiver::start(&[410]).await;
    let fixture = api(&receiver, None).await;
    until(&fixture, |found| found["looked_at"].is_string()).await;
    let id = late(&fixture, "a").await;
    assert_eq!(receiver.next().await.kind(), ("alarm.fired", "oldest_open"));
    until(&fixture, |found| found["webhook"]["is_gone"] == true).await;
    fixture.change(&format!("/v1/outcomes/{id}/waive"), json!({"reason": "told by phone"}), 200).await;
    until(&fixture, |found| on(found).is_empty()).await;
    assert!(receiver.answers.lock().unwrap().is_empty());
    fixture.finish().await;
    receiver.finish().await;
}

#[tokio::test]
async fn a_refused_message_holds_up_no_other() {
    let mut receiver = Receiver::start(&[422]).await;
    let fixture = api(&receiver, None).await;
    until(&fixture, |found| found["looked_at"].is_string()).await;
    late(&fixture, "a").await;
    let refused = receiver.next().await;
    // Another cause, in another queue, is told although the first one was refused.
    let from = chrono::Utc::now().timestamp_millis() - 7_200_000;
    let expect = Expect { from: Some(from), ..Expect::new("other", Duration::ZERO) };
    fixture.enqueue("invoices", NewJob { expect: Some(expect), ..job("b", "k") }).await;
    let next = receiver.next().await;
    assert_eq!(next.body["data"]["labels"]["route"], "other");
    let again = receiver.next().await;
    assert_eq!(again, refused);
    until(&fixture, |found| found["webhook"]["waiting"] == 0).await;
    fixture.finish().await;
    receiver.finish().await;
}
