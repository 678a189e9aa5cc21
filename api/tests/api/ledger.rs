//! Lists and figures of outcomes, the overview, stories, and what operators remark.

use std::time::Duration;

use serde_json::{Value, json};
use upshot_queue::{Expect, Failure, JobId, NewJob, Operator};
use upshot_shared::Route;
use upshot_testkit::shared_redis;

use crate::{
    fixture::{Fixture, event, job},
    stream::Messages,
    worker::Worker,
};

/// A job of a route that is due in so many ms; in the past for a negative number.
fn due_in(id: &str, route: &str, ms: i64) -> NewJob {
    let expect = if ms < 0 {
        let from = chrono::Utc::now().timestamp_millis() + ms;
        Expect { from: Some(from), ..Expect::new(route, Duration::ZERO) }
    } else {
        Expect::new(route, Duration::from_millis(ms.unsigned_abs()))
    };
    NewJob { expect: Some(expect), ..job(id, "k") }
}

async fn watched(fixture: &Fixture, queue: &str) {
    // The API watches as well; whichever is first.
    fixture.queue(queue).watch("test", Duration::from_secs(5), None).await.unwrap();
}

fn jobs(found: &Value) -> Vec<&str> {
    found["outcomes"].as_array().unwrap().iter().map(|outcome| outcome["job"].as_str().unwrap()).collect()
}

/// Reads a list again until it has so many outcomes: the watchdog of the API may be at work.
async fn until(fixture: &Fixture, path: &str, count: usize) -> Value {
    let reads = async {
        loop {
            let found = fixture.json(path, 200).await;
            if found["outcomes"].as_array().unwrap().len() == count {
                return found;
            }
            watched(fixture, "emails").await;
            watched(fixture, "invoices").await;
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, reads).await.expect("the list has other outcomes")
}

#[tokio::test]
async fn outcomes_are_listed_by_status_route_and_time() {
    let fixture = Fixture::new().await;
    let hour = 3_600_000;
    let newer = fixture.enqueue("emails", due_in("newer", "mail", -hour)).await;
    let older = fixture.enqueue("invoices", due_in("older", "invoice", -3 * hour)).await;
    let open = fixture.enqueue("invoices", due_in("open", "invoice", hour)).await;
    let found = until(&fixture, "/v1/outcomes?status=overdue", 2).await;
    assert_eq!(jobs(&found), [older.as_str(), newer.as_str()], "the oldest due one comes first");
    assert_eq!((&found["next"], &found["searched"]), (&json!(null), &json!(null)));
    let first = fixture.json("/v1/outcomes?status=overdue&limit=1", 200).await;
    assert_eq!(jobs(&first), [older.as_str()]);
    let next = fixture.json(first["next"].as_str().unwrap(), 200).await;
    assert_eq!(jobs(&next), [newer.as_str()]);
    let found = fixture.json("/v1/outcomes?status=overdue&route=mail", 200).await;
    assert_eq!(jobs(&found), [newer.as_str()]);
    assert_eq!(found["outcomes"][0]["route"], "mail");
    let all = fixture.json("/v1/outcomes", 200).await;
    assert_eq!(jobs(&all), [older.as_str(), newer.as_str(), open.as_str()]);
    assert_eq!(all["outcomes"][2]["at_risk"], false);
    for bad in [
        "status=late",
        "status=forgotten",
        "at_risk=true&status=missed",
        "from=yesterday",
        "queue=none",
        "cursor=q",
        "limit=0",
        "from=2026-03-15T00:00:00Z&to=2026-03-14T00:00:00Z",
    ] {
        fixture.json(&format!("/v1/outcomes?{bad}"), 400).await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn figures_follow_from_the_books() {
    let fixture = Fixture::new().await;
    let cancelled = fixture.enqueue("emails", due_in("a", "mail", 3_600_000)).await;
    fixture.enqueue("emails", due_in("b", "mail", 3_600_000)).await;
    fixture.enqueue("emails", due_in("b", "mail", 3_600_000)).await;
    Operator::new(fixture.queue("emails")).cancel(&cancelled).await.unwrap();
    let found = fixture.json("/v1/outcomes/summary", 200).await;
    let row = &found["rows"][0];
    assert_eq!((&row["name"], &row["queue"]), (&json!("mail"), &json!("emails")), "{found}");
    let figures = ["open", "cancelled", "missed", "overdue"].map(|name| row[name].as_u64().unwrap());
    assert_eq!(figures, [1, 1, 0, 0]);
    assert_eq!(row["share_in_time"], Value::Null);
    let by_tenant = fixture.json("/v1/outcomes/summary?by=tenant", 200).await;
    assert_eq!(by_tenant["rows"][0]["cancelled"], 1, "{by_tenant}");
    let by_kind = fixture.json("/v1/outcomes/summary?by=kind", 200).await;
    assert_eq!(by_kind["rows"][0]["name"], "unknown", "the route is not in the settings");
    assert_eq!(fixture.json("/v1/outcomes/summary?by=cause", 200).await["rows"], json!([]));
    fixture.json("/v1/outcomes/summary?by=day", 400).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_tenant_has_its_own_figures() {
    let fixture = Fixture::new().await;
    let of = |name: &str, tenant: Option<&str>| NewJob {
        tenant: tenant.map(str::to_owned),
        ..due_in(name, "mail", 3_600_000)
    };
    let operator = Operator::new(fixture.queue("emails"));
    for (name, tenant) in [("a", Some("acme")), ("b", Some("acme")), ("c", Some("b/um")), ("d", None)] {
        let id = fixture.enqueue("emails", of(name, tenant)).await;
        operator.cancel(&id).await.unwrap();
    }
    fixture.enqueue("emails", of("e", Some("acme"))).await;
    let found = fixture.json("/v1/tenants?sort=verdicts", 200).await;
    let rows: Vec<_> = found["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["tenant"], &row["open"], &row["today"]["cancelled"], &row["days"]["cancelled"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&json!("acme"), &json!(1), &json!(2), &json!(2)),
            (&Value::Null, &json!(0), &json!(1), &json!(1)),
            (&json!("b/um"), &json!(0), &json!(1), &json!(1)),
        ]
    );
    assert_eq!((&found["others"]["days"]["cancelled"], &found["next"]), (&json!(0), &Value::Null));
    let page = fixture.json("/v1/tenants?sort=verdicts&limit=2", 200).await;
    let rest = fixture.json(page["next"].as_str().unwrap(), 200).await;
    assert_eq!((&rest["tenants"][0]["tenant"], &rest["next"]), (&json!("b/um"), &Value::Null));

    let acme = fixture.json("/v1/tenants/acme", 200).await;
    assert_eq!(
        (&acme["open"], &acme["overdue"], &acme["days"]["cancelled"]),
        (&json!(1), &json!(0), &json!(2))
    );
    assert_eq!((&acme["by_day"][0]["cancelled"], &acme["by_day"][1]), (&json!(2), &Value::Null));
    assert_eq!(acme["causes"], json!([]));
    let other = fixture.json("/v1/tenants/b%2Fum", 200).await;
    assert_eq!((&other["tenant"], &other["days"]["cancelled"]), (&json!("b/um"), &json!(1)));
    assert_eq!(fixture.json("/v1/tenants/unknown", 200).await["days"]["cancelled"], 0);
    for bad in ["?sort=name", "?limit=0", "/acme?sort=late", "/%00"] {
        fixture.json(&format!("/v1/tenants{bad}"), 400).await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn the_summary_says_how_long_outcomes_take_beside_the_oldest_open_one() {
    let fixture = Fixture::new().await;
    let ago = |ms: i64| {
        let time = chrono::Utc::now() - chrono::TimeDelta::milliseconds(ms);
        json!(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    };
    let mut order = event("e-1");
    order["time"] = ago(20_000);
    let [id] = &fixture.enqueue_event(&order).await[..] else { panic!() };
    let worker = Worker::start(&fixture.connector, "invoices", |_, _| async move {
        Ok(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]}))
    });
    Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    // It sends what it counted.
    worker.stop().await;
    let mut later = event("e-2");
    later["time"] = ago(90_000);
    let [open] = &fixture.enqueue_event(&later).await[..] else { panic!() };

    let clock = fixture.json(&format!("/v1/jobs/{id}"), 200).await["clock"].clone();
    let ms = |name: &str| clock[name].as_i64().unwrap();
    assert!((20_000..60_000).contains(&ms("broker_ms")), "{clock}");
    let members = clock.as_object().unwrap().iter().filter(|(name, _)| *name != "whole_ms");
    assert_eq!(members.filter_map(|(_, ms)| ms.as_i64()).sum::<i64>(), ms("whole_ms"), "{clock}");

    for by in ["route", "kind"] {
        let found = fixture.json(&format!("/v1/outcomes/summary?by={by}"), 200).await;
        assert!(found["times_from"].is_string() && found["times_uncounted"] == 0, "{found}");
        let row = found["rows"].as_array().unwrap().iter().find(|row| row["received"] == 2).expect("the row");
        let times = &row["times"];
        assert_eq!((&times["achieved"], &times["skewed"]), (&json!(1), &json!(0)), "{found}");
        for (name, exact) in [("broker", ms("broker_ms")), ("parked", 0)] {
            let found = times["stages"][name]["p95_ms"].as_i64().unwrap();
            assert!((found - exact).abs() * 1_000 <= exact * 45, "{found} instead of {exact}: {times}");
        }
        let whole = times["whole"]["p50_ms"].as_i64().unwrap();
        assert!((whole - ms("whole_ms")).abs() * 1_000 <= ms("whole_ms") * 45, "{times}");
        assert_eq!(times["oldest_open"]["job"], open.as_str(), "{times}");
        assert!(times["oldest_open"]["age_ms"].as_i64().unwrap() >= 90_000, "{times}");
    }
    let by_tenant = fixture.json("/v1/outcomes/summary?by=tenant", 200).await;
    assert_eq!((&by_tenant["rows"][0]["times"], &by_tenant["times_from"]), (&Value::Null, &Value::Null));
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    let labels = "queue=\"invoices\",route=\"order.completed.v1:invoice.issue\"";
    for line in [
        format!("\nupshot_outcomes_oldest_open_seconds{{{labels}}} "),
        format!("\nupshot_outcome_stage_seconds{{{labels},stage=\"whole\",percentile=\"99\"}} "),
        format!("\nupshot_outcome_stage_seconds{{{labels},stage=\"parked\",percentile=\"50\"}} 0\n"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    let found = fixture.json(&format!("/v1/subjects/{}", order["subject"].as_str().unwrap()), 200).await;
    let texts: Vec<&str> =
        found["story"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("on the way to the bridge")), "{texts:#?}");
    fixture.finish().await;
}

#[tokio::test]
async fn an_overview_holds_the_queue_against_its_outcomes() {
    let fixture = Fixture::with_rabbit().await;
    fixture.enqueue("emails", due_in("late", "mail", -7_200_000)).await;
    until(&fixture, "/v1/outcomes?status=overdue", 1).await;
    let found = fixture.json("/v1/overview", 200).await;
    let routes = found["routes"].as_array().unwrap();
    let mail = routes.iter().find(|route| route["route"] == "mail").expect("the route");
    assert_eq!((&mail["outcomes"]["overdue"], &mail["infrastructure"]["ready"]), (&json!(1), &json!(1)));
    assert!(mail["outcomes"]["oldest_due"].is_string());
    assert!(routes.iter().any(|route| route["kind"] == "invoice.issue"), "a route without events: {found}");
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    let line = "upshot_outcomes{queue=\"emails\",route=\"mail\",status=\"overdue\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_story_tells_of_failures_retries_and_remarks() {
    let fixture = Fixture::new().await;
    let mut order = event("e-1");
    order["subject"] = json!("order 10/42 für Ä");
    let [id] = &fixture.enqueue_event(&order).await[..] else { panic!() };
    let worker = Worker::start(&fixture.connector, "invoices", |job, _| async move {
        if job.attempts == 1 {
            return Err(Failure::permanent("no such mailbox"));
        }
        Ok(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]}))
    });
    Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    let path = format!("/v1/outcomes/{id}");
    let noted = fixture.change(&format!("{path}/note"), json!({"note": "called", "by": "ada"}), 200).await;
    assert_eq!((&noted["note"]["text"], &noted["note"]["verified"]), (&json!("called"), &json!(false)));
    let owned = fixture.change(&format!("{path}/owner"), json!({"owner": "billing"}), 200).await;
    assert_eq!((&owned["owner"]["text"], &owned["owner"]["by"]), (&json!("billing"), &json!("")));
    let waived =
        fixture.change(&format!("{path}/waive"), json!({"reason": "by phone", "by": "ada"}), 200).await;
    assert_eq!((&waived["status"], &waived["waived"]["text"]), (&json!("waived"), &json!("by phone")));
    fixture.change(&format!("{path}/waive"), json!({"reason": " "}), 400).await;
    fixture.change(&format!("/v1/jobs/{id}/retry"), json!({}), 202).await;
    Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    fixture.change(&format!("{path}/waive"), json!({"reason": "again"}), 409).await;

    let subject = "/v1/subjects/order%2010%2F42%20f%C3%BCr%20%C3%84";
    let found = fixture.json(subject, 200).await;
    assert_eq!((&found["subject"], &found["next"]), (&order["subject"], &json!(null)));
    let entries = found["story"].as_array().unwrap();
    let statuses: Vec<&str> = entries.iter().filter_map(|entry| entry["status"].as_str()).collect();
    assert_eq!(statuses, ["missed", "waived", "reopened", "achieved_in_time"], "{found:#}");
    let texts: Vec<&str> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    for said in [
        "event order.completed.v1 e-1 of /shops/berlin was accepted",
        "no such mailbox",
        "note: called (by ada, unverified)",
        "billing took charge of it",
        "an operator settled the outcome: by phone (by ada, unverified)",
        "an operator let the job run again",
        "mail: reply 250 ok",
        "the work is done: sent",
    ] {
        assert!(texts.iter().any(|text| text.contains(said)), "{said}: {texts:#?}");
    }
    assert_eq!(found["outcomes"][0]["status"], "achieved_in_time");
    worker.stop().await;

    // What is left once the job is forgotten.
    Operator::new(fixture.queue("invoices")).forget(std::slice::from_ref(id), Duration::ZERO).await.unwrap();
    let row = fixture.json(&path, 200).await;
    assert_eq!((&row["forgotten"], &row["status"]), (&json!(true), &json!("achieved_in_time")), "{row}");
    assert_eq!((&row["attempts"], &row["event"]["id"]), (&json!(2), &json!("e-1")));
    let list = fixture.json("/v1/outcomes?status=achieved_in_time", 200).await;
    assert_eq!(jobs(&list), [id.as_str()]);
    fixture.json("/v1/subjects/unknown", 404).await;
    fixture.json(&format!("/v1/subjects/{}", "x".repeat(600)), 400).await;
    fixture.json(&format!("/v1/outcomes/{}", JobId::random()), 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_job_without_an_expectation_has_nothing_to_waive() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("emails", NewJob { expect: None, ..job("plain", "k") }).await;
    let said = fixture.change(&format!("/v1/outcomes/{id}/waive"), json!({"reason": "x"}), 409).await;
    assert_eq!(said["code"], "no-expectation");
    fixture.finish().await;
}

#[tokio::test]
async fn a_budget_is_used_up_by_what_is_late_or_missed() {
    let fixture = Fixture::with(&shared_redis().await.url(), "amqp://127.0.0.1:1", |settings| {
        let mut route = Route::new("budget.v1", "k", "emails".parse().unwrap(), Duration::from_secs(60));
        route.objective = Some(0.9.try_into().unwrap());
        settings.routes.push(route);
    })
    .await;
    let route = "budget.v1:k";
    let of = |found: &Value| {
        let [objective] = &found["objectives"].as_array().unwrap()[..] else { panic!("{found}") };
        objective.clone()
    };
    let before = of(&fixture.json("/v1/objectives", 200).await);
    assert_eq!((&before["route"], &before["queue"]), (&json!(route), &json!("emails")));
    assert_eq!((&before["objective"], &before["budget_left"]), (&json!(0.9), &json!(1.0)));
    assert_eq!((&before["burn"][0]["rate"], &before["pace"]), (&json!(null), &json!("calm")));

    let worker = Worker::start(&fixture.connector, "emails", |job, _| async move {
        match job.subject.as_deref() {
            Some("order-bad") => Err(Failure::permanent("no such mailbox")),
            _ => Ok(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]})),
        }
    });
    let mut ids = Vec::new();
    for id in ["a", "b", "c", "bad"] {
        ids.push(fixture.enqueue("emails", due_in(id, route, 3_600_000)).await);
    }
    for id in &ids {
        Messages::open(&fixture, id.as_str(), None).await.until(|message| message.name == "end").await;
    }
    // A retry that is missed again does not count again.
    fixture.change(&format!("/v1/jobs/{}/retry", ids[3]), json!(null), 202).await;
    let missed_again = |message: &crate::stream::Message| message.name == "end";
    Messages::open(&fixture, ids[3].as_str(), None).await.until(missed_again).await;
    let found = of(&fixture.json("/v1/objectives", 200).await);
    assert_eq!((&found["in_time"], &found["not_in_time"]), (&json!(3), &json!(1)));
    // A quarter is missed, and a tenth is allowed.
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-9;
    assert!(near(&found["budget_left"], -1.5), "{found}");
    for (place, over) in ["1h", "6h", "3d"].iter().enumerate() {
        let burn = &found["burn"][place];
        assert_eq!((&burn["over"], &burn["outcomes"]), (&json!(over), &json!(4)));
        assert!(near(&burn["rate"], 2.5), "{found}");
    }
    assert_eq!(found["pace"], "calm", "one is too few to tell");
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    for line in [
        format!("upshot_objective_ratio{{queue=\"emails\",route=\"{route}\"}} 0.9"),
        format!(
            "upshot_objective_outcomes_total{{queue=\"emails\",route=\"{route}\",result=\"not_in_time\"}} 1"
        ),
        format!("upshot_objective_burn_ratio{{queue=\"emails\",route=\"{route}\",window=\"6h\"}} 2.5"),
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is not in {metrics}");
    }
    worker.stop().await;
    fixture.finish().await;
}
