//! One stream for many jobs, a subject, and the figures.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Only, Rights, Role, Scope};
use upshot_queue::JobId;

use crate::{
    access::principals::{FOREIGN, OWN, ask, token},
    fixture::{Fixture, body, job},
    people::kind,
    stream::{Messages, get},
    worker::Worker,
};

fn path(ids: &[JobId]) -> String {
    let jobs: Vec<String> = ids.iter().map(|id| format!("job={id}")).collect();
    format!("/v1/stream?{}", jobs.join("&"))
}

fn outcome() -> Value {
    json!({"summary": "sent", "evidence": []})
}

#[tokio::test]
async fn many_jobs_are_followed_in_one_stream_until_all_have_ended() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for n in 0..100 {
        let queue = ["emails", "invoices"][n % 2];
        ids.push(fixture.enqueue(queue, job(&n.to_string(), "invoice.issue")).await);
    }
    let mut messages = Messages::at(&fixture, &path(&ids), None).await;
    let mut seen = BTreeMap::new();
    while seen.len() < ids.len() {
        let message = messages.next().await.unwrap();
        assert_eq!((message.name.as_str(), &message.data["state"]), ("snapshot", &json!("ready")));
        assert!(seen.insert(message.data["id"].as_str().unwrap().to_owned(), ()).is_none());
    }
    let workers = [
        Worker::start(&fixture.connector, "emails", |_, _| async { Ok(outcome()) }),
        Worker::start(&fixture.connector, "invoices", |_, _| async { Ok(outcome()) }),
    ];
    let mut ended = BTreeSet::new();
    let mut last = String::new();
    loop {
        let message = messages.next().await.unwrap();
        if message.name == "end" {
            break;
        }
        assert_eq!(message.name, "change");
        if message.data["state"] == "succeeded" {
            ended.insert(message.data["id"].as_str().unwrap().to_owned());
        }
        last = message.id;
    }
    assert_eq!(ended.len(), ids.len());
    assert!(messages.next().await.is_none());
    // It was seen that all have ended.
    assert_eq!(get(&fixture, &path(&ids), Some(&last)).await.status(), 204);
    // One that was not seen is told, and only that one.
    let known = &last[8..];
    let mut again = Messages::at(&fixture, &path(&ids), Some(known)).await;
    assert_eq!(again.next().await.unwrap().name, "snapshot");
    assert_eq!(again.next().await.unwrap().name, "end");
    assert!(again.next().await.is_none());
    for worker in workers {
        worker.stop().await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_stream_says_what_is_not_there_and_what_it_cannot_follow() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let absent = JobId::random();
    let mut messages = Messages::at(&fixture, &path(&[absent.clone(), id.clone()]), None).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        let message = messages.next().await.unwrap();
        said.push((message.name, message.data["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(said, [("gone".to_owned(), absent.to_string()), ("snapshot".to_owned(), id.to_string())]);
    let unknown = body(get(&fixture, &path(&[absent]), None).await, 404).await;
    assert_eq!(unknown["code"], "unknown-job");
    let many: Vec<JobId> = (0..101).map(|_| JobId::random()).collect();
    for (path, word) in [
        (path(&many), "100 jobs at most"),
        ("/v1/stream".to_owned(), "nothing is to be followed"),
        ("/v1/stream?job=x".to_owned(), "`x`"),
        ("/v1/stream?subject=".to_owned(), "`subject`"),
        ("/v1/stream?counts=yes".to_owned(), "`counts`"),
        ("/v1/stream?jobs=x".to_owned(), "`jobs`"),
    ] {
        let refused = body(get(&fixture, &path, None).await, 400).await;
        assert!(refused["detail"].as_str().unwrap().contains(word), "{path} {refused}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_stream_shows_a_principal_its_own_jobs_alone() {
    let fixture = Fixture::guarded().await;
    let own = fixture.enqueue("emails", of("own", OWN)).await;
    let foreign = fixture.enqueue("emails", of("foreign", FOREIGN)).await;
    let scope = Scope { tenants: Only::of([OWN]), ..Scope::everything() };
    let viewer = token(&fixture, Role::Viewer, scope, Rights::default()).await;
    let open = async |path: &str| {
        let request = fixture.client.get(fixture.url(path)).bearer_auth(&viewer);
        Messages::of(request.send().await.unwrap())
    };
    let refused =
        ask(&fixture, Some(&viewer), Method::GET, &path(std::slice::from_ref(&foreign)), &Value::Null).await;
    assert_eq!((refused.status, kind(&refused.body)), (404, "unknown-job"), "{}", refused.body);
    let mut messages = open(&path(&[foreign.clone(), own.clone()])).await;
    let gone = messages.next().await.unwrap();
    assert_eq!((gone.name.as_str(), &gone.data), ("gone", &json!({"id": foreign.as_str()})));
    assert_eq!(messages.next().await.unwrap().data["id"], own.as_str());
    // The jobs about a subject, also those that come later.
    let mut messages = open("/v1/stream?subject=shared").await;
    assert_eq!(messages.next().await.unwrap().data["id"], own.as_str());
    fixture.enqueue("emails", of("foreign too", FOREIGN)).await;
    let later = fixture.enqueue("invoices", of("later", OWN)).await;
    let found = messages.next().await.unwrap();
    assert_eq!((found.name.as_str(), &found.data["id"]), ("snapshot", &json!(later.as_str())));
    let refused = ask(&fixture, Some(&viewer), Method::GET, "/v1/stream?counts=true", &Value::Null).await;
    assert_eq!((refused.status, kind(&refused.body)), (403, "out-of-scope"), "{}", refused.body);
    fixture.finish().await;
}

fn of(id: &str, tenant: &str) -> upshot_queue::NewJob {
    let mut job = job(id, "order.confirm");
    job.subject = Some("shared".to_owned());
    job.tenant = Some(tenant.to_owned());
    job
}

#[tokio::test]
async fn the_figures_are_told_when_they_change_and_equal_the_overview() {
    let fixture = Fixture::new().await;
    let mut messages = Messages::at(&fixture, "/v1/stream?counts=true", None).await;
    let first = messages.next().await.unwrap();
    assert_eq!(first.name, "counts");
    let ready = |message: &Value| {
        let routes = message["routes"].as_array().unwrap();
        let of_queue = routes.iter().find(|route| route["queue"] == "emails").unwrap();
        of_queue["infrastructure"]["ready"].as_u64().unwrap()
    };
    assert_eq!(ready(&first.data), 0);
    fixture.enqueue("emails", job("1", "order.confirm")).await;
    let counted = messages.until(|message| ready(&message.data) == 1).await;
    let overview = fixture.json("/v1/overview", 200).await;
    assert_eq!(counted.data["routes"], overview["routes"]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let mut lazy = Messages::at(&fixture, &path(std::slice::from_ref(&id)), None).await;
    let mut busy = Messages::at(&fixture, &path(std::slice::from_ref(&id)), None).await;
    let worker = Worker::start(&fixture.connector, "emails", |_, lease| async move {
        for n in 0..2_000_u32 {
            let message = Some(format!("{n} {}", "x".repeat(900)));
            let progress = upshot_queue::Progress { percent: 1, step: None, message };
            lease.progress(&progress).await.map_err(upshot_queue::Failure::transient)?;
        }
        Ok(outcome())
    });
    busy.until(|message| message.name == "end").await;
    // What it reads later ends with the newest state.
    let mut newest = Value::Null;
    while let Some(message) = lazy.next().await {
        if message.name != "end" {
            newest = message.data;
        }
    }
    assert_eq!(newest["state"], "succeeded");
    worker.stop().await;
    fixture.finish().await;
}
