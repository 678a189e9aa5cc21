//! What holds a job, for each reason that there is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use upshot_ledger::why::Reason;
use upshot_queue::{
    Await, Configuration, Crashes, Failure, JobId, Kinds, Limit, LimitKey, NewJob, OnSilence, Operator, Park,
    Progress, Shares, Stop, Undecodable, Wait, WorkerOptions, protocol::Claim,
};
use upshot_testkit::within;

use crate::{
    fixture::{Fixture, body, event, job},
    worker::{self, Worker},
};

const KIND: &str = "order.confirm";
const HOUR: Duration = Duration::from_secs(3600);

/// Waits until a queue has so many workers.
pub async fn until_workers(fixture: &Fixture, queue: &str, n: u64) {
    let queue = fixture.queue(queue);
    let waiting = async { while queue.workers().await.unwrap().count != n {} };
    within("the workers tell that they are there", waiting).await;
}

/// Asks until this reason holds the job.
async fn until(fixture: &Fixture, id: &JobId, reason: Reason) -> Value {
    let path = format!("/v1/jobs/{id}/why");
    let waiting = async {
        loop {
            let why = fixture.json(&path, 200).await;
            if why["reason"] == reason.as_str() {
                return why;
            }
        }
    };
    let why = within(reason.as_str(), waiting).await;
    assert_eq!(why["job"], id.as_str());
    assert!(why["text"].as_str().unwrap().ends_with('.'), "{why}");
    why
}

fn also(why: &Value) -> Vec<&str> {
    why["also"].as_array().unwrap().iter().map(|also| also["reason"].as_str().unwrap()).collect()
}

fn operator(fixture: &Fixture) -> Operator {
    Operator::new(fixture.queue("emails"))
}

async fn enqueue(fixture: &Fixture, id: &str) -> JobId {
    fixture.enqueue("emails", job(id, KIND)).await
}

/// A worker whose runs take a permit each.
fn gated(fixture: &Fixture, options: WorkerOptions) -> (Worker, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let worker = Worker::start_with(&fixture.connector, options, move |_, lease| {
        let gate = Arc::clone(&gate);
        async move {
            let progress = Progress { percent: 40, step: Some("store".to_owned()), message: None };
            lease.progress(&progress).await.map_err(Failure::transient)?;
            gate.acquire().await.unwrap().forget();
            Ok::<_, Failure>(json!({"summary": "sent"}))
        }
    });
    (worker, go)
}

/// A worker that ends each run like this.
fn ending(fixture: &Fixture, options: WorkerOptions, end: fn() -> Stop) -> Worker {
    Worker::start_with(&fixture.connector, options, move |_, _| async move { Err::<Value, _>(end()) })
}

fn knows(kind: &str) -> WorkerOptions {
    let kinds = Kinds { known: [(kind.to_owned(), 1)].into(), build: "v7".to_owned() };
    WorkerOptions { kinds: Some(kinds), concurrency: 1, ..worker::options("emails") }
}

/// Lets a worker finish so many jobs, and stops it.
async fn let_go((worker, go): (Worker, Arc<Semaphore>), jobs: usize) {
    go.add_permits(jobs);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_is_told_when_it_holds_a_job() {
    let mut told = BTreeSet::new();
    for reason in Reason::ALL {
        let fixture = match reason {
            Reason::NotEnqueued => Fixture::with_rabbit().await,
            _ => Fixture::new().await,
        };
        let why = situation(&fixture, reason).await;
        told.insert(why["reason"].as_str().unwrap().to_owned());
        fixture.finish().await;
    }
    assert_eq!(told.len(), Reason::ALL.len());
}

/// Brings a job into the situation of a reason, and checks what is said of it.
async fn situation(fixture: &Fixture, reason: Reason) -> Value {
    match reason {
        Reason::NotEnqueued => not_enqueued(fixture).await,
        Reason::Scheduled => {
            let later = NewJob { delay: HOUR, ..job("1", KIND) };
            let id = fixture.enqueue("emails", later).await;
            let why = until(fixture, &id, reason).await;
            assert!(why["details"]["until"].is_string() && why["estimate"].is_null(), "{why}");
            assert_eq!(also(&why), ["no_worker"]);
            why
        }
        Reason::BackingOff => {
            let stored = operator(fixture).configure(&Configuration::default(), 0, "test").await;
            stored.unwrap();
            let id = enqueue(fixture, "1").await;
            let fails = || Failure::transient("no answer about ada@lindqvist.example").into();
            let worker = ending(fixture, worker::options("emails"), fails);
            let why = until(fixture, &id, reason).await;
            let details = &why["details"];
            assert_eq!(details["class"], "transient");
            // Personal data is hidden.
            assert_eq!(details["message"], "no answer about a…@lindqvist.example");
            assert!(!why.to_string().contains("ada@"), "{why}");
            assert_eq!(
                (&details["attempt"], &details["failures"], &details["budget"]),
                (&json!(1), &json!(1), &json!(20))
            );
            worker.stop().await;
            why
        }
        Reason::Limit => {
            let smtp = LimitKey::Key("smtp".to_owned());
            let one = Limit { concurrency: Some(1), ..Limit::default() };
            operator(fixture).set_limit(&smtp, one).await.unwrap();
            let limited = |id: &str| NewJob { limit_keys: vec!["smtp".to_owned()], ..job(id, KIND) };
            let first = fixture.enqueue("emails", limited("1")).await;
            let gated = gated(fixture, worker::options("emails"));
            until(fixture, &first, Reason::Running).await;
            let second = fixture.enqueue("emails", limited("2")).await;
            let third = fixture.enqueue("emails", limited("3")).await;
            let why = until(fixture, &third, reason).await;
            let details = &why["details"];
            assert_eq!(
                (&details["key"], &details["running"], &details["most"]),
                (&json!("key:smtp"), &json!(1), &json!(1))
            );
            assert_eq!(details["holders"], json!([first.as_str()]));
            assert_eq!((&details["ahead"]["at_least"], &details["ahead"]["at_most"]), (&json!(1), &json!(1)));
            assert_eq!(until(fixture, &second, reason).await["details"]["ahead"]["at_most"], 0);
            let_go(gated, 3).await;
            why
        }
        Reason::Rate => {
            let slow = Limit { rate: Some(0.001), burst: Some(1), ..Limit::default() };
            operator(fixture).set_limit(&LimitKey::Tenant("acme".to_owned()), slow).await.unwrap();
            let first = enqueue(fixture, "1").await;
            let gated = gated(fixture, worker::options("emails"));
            until(fixture, &first, Reason::Running).await;
            let second = enqueue(fixture, "2").await;
            let why = until(fixture, &second, reason).await;
            assert_eq!(why["details"]["key"], "tenant:acme");
            assert!(why["details"]["next_token_at"].as_str() > why["since"].as_str(), "{why}");
            let_go(gated, 1).await;
            why
        }
        Reason::QueuePaused => {
            operator(fixture).pause().await.unwrap();
            let id = enqueue(fixture, "1").await;
            let why = until(fixture, &id, reason).await;
            assert_eq!(also(&why), ["no_worker"]);
            why
        }
        Reason::KindPaused => {
            operator(fixture).pause_kind(KIND).await.unwrap();
            let id = enqueue(fixture, "1").await;
            let ready = until(fixture, &id, reason).await;
            assert_eq!(also(&ready), ["no_worker"], "its turn has not come");
            let gated = gated(fixture, worker::options("emails"));
            until_workers(fixture, "emails", 1).await;
            let why = until(fixture, &id, reason).await;
            assert_eq!(also(&why), [""; 0]);
            let_go(gated, 0).await;
            why
        }
        Reason::ParkedSignal => {
            let id = enqueue(fixture, "1").await;
            let waits = || {
                Park::wait("order-1 confirmed".parse().unwrap(), HOUR, "the customer has not confirmed")
                    .into()
            };
            let worker = ending(fixture, worker::options("emails"), waits);
            let why = until(fixture, &id, reason).await;
            let details = &why["details"];
            assert_eq!(details["condition"], "wait order-1 confirmed");
            assert_eq!(details["message"], "the customer has not confirmed");
            assert!(details["until"].is_string(), "{why}");
            worker.stop().await;
            why
        }
        Reason::Awaiting => {
            let id = enqueue(fixture, "1").await;
            let awaits = || {
                let condition = "order-1 paid".parse().unwrap();
                let outcome = json!({"summary": "asked", "evidence": [{"kind": "mail"}]});
                Await { outcome, condition, within: HOUR, on_silence: OnSilence::Missed }.into()
            };
            let worker = ending(fixture, worker::options("emails"), awaits);
            let why = until(fixture, &id, reason).await;
            let details = &why["details"];
            assert_eq!((&details["key"], &details["on_silence"]), (&json!("order-1 paid"), &json!("missed")));
            assert!(details["until"].is_string() && why["estimate"].is_null(), "{why}");
            assert!(why["text"].as_str().unwrap().contains("it counts as missed without one"), "{why}");
            let path = format!("/v1/jobs/{id}");
            let job = fixture.json(&path, 200).await;
            assert_eq!(job["awaiting"]["key"], "order-1 paid", "{job}");
            assert_eq!(job["outcome"]["summary"], "asked", "{job}");
            worker.stop().await;
            why
        }
        Reason::ParkedVersion => {
            let id = enqueue(fixture, "1").await;
            let other = gated(fixture, knows("another.kind"));
            let why = until(fixture, &id, reason).await;
            assert_eq!(why["details"]["kind"], "order.confirm@1");
            until_workers(fixture, "emails", 1).await;
            // A worker that runs it takes it.
            let gated = gated(fixture, knows(KIND));
            until(fixture, &id, Reason::Running).await;
            let_go(gated, 1).await;
            let_go(other, 0).await;
            why
        }
        Reason::ParkedArguments => {
            let id = enqueue(fixture, "1").await;
            let worker = ending(fixture, knows(KIND), || Undecodable("no field `to`".to_owned()).into());
            let why = until(fixture, &id, reason).await;
            assert_eq!(why["details"]["builds"], json!(["v7"]));
            worker.stop().await;
            why
        }
        Reason::NoWorkerForKind => {
            let busy = fixture.enqueue("emails", job("1", "another.kind")).await;
            let gated = gated(fixture, knows("another.kind"));
            until(fixture, &busy, Reason::Running).await;
            until_workers(fixture, "emails", 1).await;
            let id = enqueue(fixture, "2").await;
            let why = until(fixture, &id, reason).await;
            assert_eq!(
                (&why["details"]["kind"], &why["details"]["workers"]),
                (&json!("order.confirm@1"), &json!(1))
            );
            let_go(gated, 1).await;
            why
        }
        Reason::NoWorker => {
            let id = enqueue(fixture, "1").await;
            let why = until(fixture, &id, reason).await;
            assert!(why["estimate"].is_null() && also(&why).is_empty(), "{why}");
            why
        }
        Reason::Behind => {
            let first = enqueue(fixture, "1").await;
            let gated = gated(fixture, WorkerOptions { concurrency: 1, ..worker::options("emails") });
            until(fixture, &first, Reason::Running).await;
            until_workers(fixture, "emails", 1).await;
            enqueue(fixture, "2").await;
            fixture.enqueue("emails", NewJob { tenant: Some("other".to_owned()), ..job("3", KIND) }).await;
            let last = enqueue(fixture, "4").await;
            let why = until(fixture, &last, reason).await;
            assert_eq!(
                why["details"]["ahead"],
                json!({"at_least": 1, "at_most": 1, "in_class": 3, "more_urgent": 0, "lanes": 2, "running": 1, "slots": 1})
            );
            let_go(gated, 4).await;
            why
        }
        Reason::Running => {
            let id = enqueue(fixture, "1").await;
            let gated = gated(fixture, worker::options("emails"));
            let path = format!("/v1/jobs/{id}/why");
            let reported = async {
                loop {
                    let why = fixture.json(&path, 200).await;
                    if why["details"]["percent"] == 40 {
                        return why;
                    }
                }
            };
            let why = within("the progress", reported).await;
            assert_eq!(why["details"]["step"], "store");
            assert!(why["details"]["last_progress_at"].is_string(), "{why}");
            let_go(gated, 1).await;
            why
        }
        Reason::LeaseLost => {
            let id = enqueue(fixture, "1").await;
            let crashes = Crashes::new(3, Wait::NONE);
            let claim = Claim {
                worker: "gone",
                want: 1,
                lease: Duration::from_millis(1),
                crashes: &crashes,
                crashes_by_kind: &[],
                kinds: None,
                request_id: 1,
                shares: Shares::default(),
                quantum: 1,
            };
            let queue = upshot_queue::worker::Worker::new(fixture.queue("emails"));
            assert_eq!(queue.claim(&claim).await.unwrap().len(), 1);
            let why = until(fixture, &id, reason).await;
            assert_eq!((&why["details"]["worker"], &why["details"]["workers"]), (&json!("gone"), &json!(0)));
            why
        }
        Reason::Ended => {
            let id = enqueue(fixture, "1").await;
            let gated = gated(fixture, worker::options("emails"));
            until(fixture, &id, Reason::Running).await;
            let_go(gated, 1).await;
            let why = until(fixture, &id, reason).await;
            assert_eq!(why["details"], json!({"state": "succeeded", "verdict": "achieved_in_time"}));
            why
        }
    }
}

/// No bridge takes the event.
async fn not_enqueued(fixture: &Fixture) -> Value {
    let accepted = body(fixture.post(event("1").to_string()).await, 202).await;
    let link = accepted["jobs"][0]["url"].as_str().unwrap().to_owned();
    let link = link.replace("?accepted", "/why?accepted");
    let waiting = async {
        loop {
            let why = fixture.json(&link, 200).await;
            if why["details"]["events"] == 1 {
                return why;
            }
        }
    };
    let why = within("the depth of the intake", waiting).await;
    assert_eq!((&why["reason"], &why["details"]["bridges"]), (&json!("not_enqueued"), &json!(0)));
    assert!(why["estimate"].is_null(), "{why}");
    // Without the time of the 202, no job is known.
    let path = link.split('?').next().unwrap().to_owned();
    fixture.json(&path, 404).await;
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn start_and_finish_are_ranges_from_recent_runs() {
    let fixture = Fixture::new().await;
    let gated = gated(&fixture, WorkerOptions { concurrency: 1, ..worker::options("emails") });
    let ids = ["1", "2", "3", "4", "5", "6"].map(|id| enqueue(&fixture, id));
    let ids = futures::future::join_all(ids).await;
    until_workers(&fixture, "emails", 1).await;
    // Some runs end, then one holds the slot.
    gated.1.add_permits(3);
    let path = |id: &JobId| format!("/v1/jobs/{id}/why");
    let known = async {
        loop {
            for id in &ids {
                let why = fixture.json(&path(id), 200).await;
                if why["reason"] == "behind" && !why["estimate"].is_null() {
                    return why;
                }
            }
        }
    };
    let why = within("an estimate", known).await;
    let estimate = &why["estimate"];
    let end = |name: &str, n: usize| estimate[name][n].as_str().unwrap().to_owned();
    assert!(end("start", 0) <= end("start", 1) && end("finish", 0) <= end("finish", 1), "{estimate}");
    assert!(end("start", 0) <= end("finish", 0) && end("start", 1) <= end("finish", 1), "{estimate}");
    let_go(gated, 3).await;
    fixture.finish().await;
}
