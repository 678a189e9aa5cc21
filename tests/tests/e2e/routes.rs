//! What a route says of its jobs reaches the queue; an event that lacks what a route
//! needs does not.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use upshot_queue::{FailureClass, JobId, Priority, State};
use upshot_shared::{Route, event::Identity};
use upshot_tests::{Stage, orders::order};

const ROUTES: &str = r#"
[[routes]]
event = "order.urgent.v1"
job = "order.file"
queue = "invoices"
within = "15m"
priority = "high"
limit_keys = ["smtp", "bank:{tenant}", "customer:{/customer/id}"]
deadline = "1h"

[[routes]]
event = "order.stale.v1"
job = "invoice.issue"
queue = "invoices"
within = "15m"
deadline = "1ms"

[[routes]]
event = "order.late.v1"
job = "invoice.issue"
queue = "invoices"
within = "15m"
deadline = "1ms"
late = "run"

[[routes]]
event = "report.due.v1"
job = "report.make"
queue = "invoices"
within = "1d"
unique = { key = "monthly:{/month}", lifetime = "30d" }

[[routes]]
event = "report.due.v1"
job = "report.file"
queue = "invoices"
within = "1d"
unique = { key = "monthly:{/month}", lifetime = "30d" }
"#;

/// An order of this type, and its job.
fn event(kind: &str, number: u32) -> (Value, JobId) {
    let mut event = order(number);
    event["type"] = json!(kind);
    let job = match kind {
        "order.urgent.v1" => "order.file",
        "report.due.v1" => "report.make",
        _ => "invoice.issue",
    };
    let route = Route::new(kind, job, "invoices".parse().unwrap(), Duration::ZERO);
    let id = route.job_id("/shops/test", Identity::Id(event["id"].as_str().unwrap()));
    (event, id)
}

fn config(stage: &Stage) -> (&'static str, String) {
    std::fs::create_dir_all(stage.files()).unwrap();
    let file = stage.files().join("routes.toml");
    std::fs::write(&file, ROUTES).unwrap();
    ("UPSHOT_CONFIG", file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_urgent_limited_and_bound_to_a_deadline_as_their_route_says() {
    let stage = Stage::new().await;
    let config = config(&stage);
    let bridge = stage.start("bridge", std::slice::from_ref(&config)).await;

    let (mut urgent, id) = event("order.urgent.v1", 1);
    urgent["data"]["customer"]["id"] = json!(77);
    stage.publish(&urgent).await;
    let job = stage.until(&id, |_| true).await;
    assert_eq!(job.priority, Priority::High);
    assert_eq!(job.limit_keys, ["smtp", "bank:test", "customer:77"]);
    assert_eq!(job.deadline, Some(job.enqueued_at + 3_600_000));

    // Both have missed their deadline before a worker claims jobs.
    let (stale, stale_id) = event("order.stale.v1", 2);
    let (late, late_id) = event("order.late.v1", 3);
    for (event, id) in [(&stale, &stale_id), (&late, &late_id)] {
        stage.publish(event).await;
        let job = stage.until(id, |_| true).await;
        assert_eq!((job.priority, job.limit_keys.len()), (Priority::Normal, 0));
        assert_eq!(job.deadline, Some(job.enqueued_at + 1));
    }
    let executor = stage.start("executor", &[config]).await;
    let job = stage.until(&stale_id, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.history[0].class), (State::Dead, FailureClass::Expired));
    stage.succeeded(&late_id).await;
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_lacks_the_value_of_a_limit_key_is_rejected_on_either_way() {
    let stage = Stage::new().await;
    let config = config(&stage);
    let (api, url) = stage.start_api_with(std::slice::from_ref(&config)).await;
    let bridge = stage.start("bridge", &[config]).await;
    let (lacking, lacking_id) = event("order.urgent.v1", 1);
    let (mut unfit, unfit_id) = event("order.urgent.v1", 2);
    unfit["data"]["customer"]["id"] = json!(["77"]);
    let (mut good, good_id) = event("order.urgent.v1", 3);
    good["data"]["customer"]["id"] = json!("C-77");
    for event in [&lacking, &unfit, &good] {
        stage.publish(event).await;
    }
    let kept = stage.quarantined(2).await;
    for (delivery, (event, reason)) in
        kept.iter().zip([(&lacking, "missing_value"), (&unfit, "invalid_value")])
    {
        assert_eq!(delivery.data, event.to_string().into_bytes(), "the message is kept as it came");
        let header = |name: &str| {
            let headers = delivery.properties.headers().as_ref().unwrap();
            headers.inner().get(name).and_then(|value| value.as_long_string()).unwrap().to_string()
        };
        assert_eq!(
            (header("x-upshot-reason").as_str(), header("x-upshot-place").as_str()),
            (reason, "/data/customer/id")
        );
        let detail = header("x-upshot-detail");
        assert!(detail.contains("`order.file`") && detail.contains("`customer:{/customer/id}`"), "{detail}");
    }
    assert_eq!(stage.until(&good_id, |_| true).await.limit_keys[2], "customer:C-77");
    for id in [lacking_id, unfit_id] {
        assert!(stage.queue.job(&id).await.unwrap().is_none(), "no job without its limit");
    }

    let request = reqwest::Client::new()
        .post(format!("{url}/v1/events"))
        .header("content-type", "application/cloudevents+json")
        .body(lacking.to_string());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(
        (&problem["reason"], &problem["place"]),
        (&json!("missing_value"), &json!("/data/customer/id"))
    );
    for process in [bridge, api] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_events_with_one_key_one_becomes_a_job_and_the_others_lead_to_it() {
    let stage = Stage::new().await;
    let config = config(&stage);
    let (api, url) = stage.start_api_with(std::slice::from_ref(&config)).await;
    let bridge = stage.start("bridge", &[config]).await;
    let report = |number, tenant, month| {
        let (mut event, id) = event("report.due.v1", number);
        event["tenant"] = json!(tenant);
        event["data"]["month"] = json!(month);
        (event, id)
    };
    // The third has the key as well, and is another tenant's.
    let [(first, first_id), (second, second_id), (behind, behind_id), (last, last_id)] =
        [(1, "acme", "2026-03"), (2, "acme", "2026-03"), (3, "zeta", "2026-03"), (4, "acme", "2026-05")]
            .map(|(n, tenant, month)| report(n, tenant, month));
    // The other route of the event has the same key, for jobs of another kind.
    let other = Route::new("report.due.v1", "report.file", "invoices".parse().unwrap(), Duration::ZERO);
    let filed_id = other.job_id("/shops/test", Identity::Id(first["id"].as_str().unwrap()));
    for event in [&first, &second, &behind] {
        stage.publish(event).await;
    }
    stage.until(&behind_id, |_| true).await;
    // The same event again is the same duplicate.
    for event in [&second, &last] {
        stage.publish(event).await;
    }
    stage.until(&last_id, |_| true).await;
    assert!(stage.queue.job(&second_id).await.unwrap().is_none());
    assert_eq!(stage.until(&first_id, |_| true).await.duplicates, 2);
    let source = first["source"].as_str().unwrap();
    for event in [&first, &second] {
        let asked = format!("{url}/v1/outcomes?source={source}&id={}", event["id"].as_str().unwrap());
        let found: Value = reqwest::get(asked).await.unwrap().json().await.unwrap();
        let jobs = found["outcomes"].as_array().unwrap().iter().map(|each| each["job"].as_str().unwrap());
        let jobs: BTreeSet<&str> = jobs.collect();
        assert_eq!(jobs, BTreeSet::from([first_id.as_str(), filed_id.as_str()]), "{found}");
    }
    for process in [bridge, api] {
        process.stop().await;
    }
    stage.finish().await;
}
