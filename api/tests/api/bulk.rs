//! Operations on many jobs.

use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Only, Right, Rights, Role, Scope};
use upshot_queue::{Failure, JobId, NewJob, State};

use crate::{
    access::principals::{Answer, ask, token},
    dead::bury,
    fixture::{Fixture, PATIENCE, body, job},
    worker::Worker,
};

async fn states(fixture: &Fixture, ids: &[JobId]) -> Vec<Value> {
    let mut states = Vec::new();
    for id in ids {
        states.push(fixture.json(&format!("/v1/jobs/{id}"), 200).await["state"].clone());
    }
    states
}

/// Creates an operation, and waits until its state is one of these.
async fn created(fixture: &Fixture, said: Value, states: &[&str]) -> Value {
    let response = fixture.send("POST", "/v1/operations", &said).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let operation = body(response, 202).await;
    assert_eq!(operation["links"]["self"], location);
    until(fixture, &operation, states).await
}

/// Reads an operation until its state is one of these: the API's own process walks it.
async fn until(fixture: &Fixture, operation: &Value, states: &[&str]) -> Value {
    let path = operation["links"]["self"].as_str().unwrap();
    let reading = async {
        loop {
            let operation = fixture.json(path, 200).await;
            if states.contains(&operation["state"].as_str().unwrap()) {
                return operation;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the operation goes on")
}

async fn steer(fixture: &Fixture, operation: &Value, verb: &str, said: Value, status: u16) -> Value {
    fixture.change(&format!("{}/{verb}", operation["links"]["self"].as_str().unwrap()), said, status).await
}

#[tokio::test]
async fn a_group_is_counted_and_retried() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let group = fixture.json(&format!("/v1/jobs/{}", ids[0]), 200).await["group"].clone();
    let said = json!({"queue": "invoices", "act": "retry", "filter": {"state": "dead", "group": group},
        "reason": "the customers are back", "by": "ada"});
    let counted = created(&fixture, said, &["counted"]).await;
    assert_eq!(states(&fixture, &ids).await, ["dead"; 5]);
    let count = &counted["counted"];
    assert_eq!((&count["jobs"], &count["refused"]), (&json!(3), &json!(0)));
    assert_eq!(count["tenants"], json!([{"tenant": "acme", "jobs": 2}, {"tenant": "blum", "jobs": 1}]));
    let cause = &count["causes"][0];
    assert_eq!(
        (&cause["group"], &cause["jobs"], &cause["message"]),
        (&group, &json!(3), &json!("no customer <*>"))
    );
    for (name, value) in [
        ("queue", json!("invoices")),
        ("act", json!("retry")),
        ("filter", json!({"state": "dead", "group": group})),
        ("reason", json!("the customers are back")),
        ("by", json!("ada")),
        ("right", json!("replay")),
        ("same_cause", json!(10)),
        ("changed", json!(0)),
        ("left", json!(3)),
        ("started_at", Value::Null),
    ] {
        assert_eq!(counted[name], value, "{name} of {counted}");
    }
    let differs = steer(&fixture, &counted, "start", json!({"confirm": 2}), 409).await;
    assert_eq!(differs["code"], "count-differs");
    assert!(differs["detail"].as_str().unwrap().contains("counted 3 jobs, and `confirm` is 2"), "{differs}");
    steer(&fixture, &counted, "start", json!({"by": "bob"}), 200).await;
    let done = until(&fixture, &counted, &["done"]).await;
    assert_eq!((&done["changed"], &done["left"], &done["gone"]), (&json!(3), &json!(0), &json!(0)));
    assert_eq!(states(&fixture, &ids).await, ["ready", "ready", "ready", "dead", "dead"]);
    let deeds: Vec<&Value> = done["deeds"].as_array().unwrap().iter().map(|deed| &deed["by"]).collect();
    assert_eq!(deeds, ["ada", "bob"]);
    // The job says which operation changed it.
    let job = fixture.json(&format!("/v1/jobs/{}", ids[0]), 200).await;
    assert!(job.to_string().contains(&format!("operation {}", done["id"].as_str().unwrap())), "{job}");
    // It can be started once, and not be steered any more.
    for verb in ["start", "pause", "resume", "abort"] {
        let refused = steer(&fixture, &done, verb, json!({}), 409).await;
        assert_eq!(refused["code"], "operation-state");
        assert!(refused["detail"].as_str().unwrap().contains("is done"), "{refused}");
    }
    // The record of it.
    let acts = fixture.json("/v1/audit?limit=20", 200).await;
    let found = |operation: &str| {
        let mut acts = acts["acts"].as_array().unwrap().iter();
        acts.find(|act| act["operation"] == operation && act["result"] == "done").cloned().unwrap()
    };
    let act = found("create_operation");
    assert_eq!(
        (&act["reason"], &act["target"]["operation"]),
        (&json!("the customers are back"), &done["id"])
    );
    assert_eq!(act["asked"]["act"], "retry", "{act}");
    assert_eq!(found("start_operation")["target"]["operation"], done["id"]);
    fixture.finish().await;
}

#[tokio::test]
async fn what_destroys_needs_the_number_of_jobs() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let said = json!({"queue": "invoices", "act": "purge", "filter": {"state": "dead", "kind": "b"}});
    let at_once = json!({"queue": "invoices", "act": "purge", "filter": {"state": "dead"}, "dry_run": false});
    assert_eq!(fixture.change("/v1/operations", at_once, 400).await["parameter"], "dry_run");
    let counted = created(&fixture, said, &["counted"]).await;
    let missing = steer(&fixture, &counted, "start", json!({}), 409).await;
    assert!(missing["detail"].as_str().unwrap().contains("counted 2 jobs"), "{missing}");
    steer(&fixture, &counted, "start", json!({"confirm": 2}), 200).await;
    assert_eq!(until(&fixture, &counted, &["done"]).await["changed"], 2);
    assert_eq!(states(&fixture, &ids[..3]).await, ["dead"; 3]);
    fixture.json(&format!("/v1/jobs/{}", ids[3]), 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn named_jobs_that_cannot_be_changed_are_listed() {
    let fixture = Fixture::new().await;
    let mut ids = bury(&fixture).await;
    ids.push(JobId::random());
    let said = json!({"queue": "invoices", "act": "retry", "filter": {"ids": ids}, "dry_run": false});
    let first = created(&fixture, said.clone(), &["done"]).await;
    assert_eq!(
        (&first["changed"], &first["refused"], &first["counted"]),
        (&json!(5), &json!(1), &Value::Null)
    );
    // The second operator sees refusals, and no error.
    let second = created(&fixture, said, &["done"]).await;
    assert_eq!((&second["changed"], &second["refused"]), (&json!(0), &json!(6)));
    let refusals = fixture.json(second["links"]["refusals"].as_str().unwrap(), 200).await;
    assert_eq!(refusals["count"], 6);
    let rows = refusals["refusals"].as_array().unwrap();
    assert_eq!(
        rows[0],
        json!({"job": ids[5], "reason": "unknown", "link": fixture.url(&format!("/v1/jobs/{}", ids[5]))})
    );
    assert!(rows[1..].iter().all(|row| row["reason"] == "ready"), "{refusals}");
    fixture.finish().await;
}

#[tokio::test]
async fn an_operation_is_paused_resumed_and_aborted() {
    let fixture = Fixture::new().await;
    let ids = bury(&fixture).await;
    let said = json!({"queue": "invoices", "act": "retry", "filter": {"state": "dead"}, "pace": "1h", "dry_run": false});
    let running = created(&fixture, said, &["running"]).await;
    let first = async {
        while fixture.json(running["links"]["self"].as_str().unwrap(), 200).await["changed"] != 1 {}
    };
    tokio::time::timeout(PATIENCE, first).await.expect("the first job is changed");
    assert_eq!(steer(&fixture, &running, "pause", json!({}), 200).await["state"], "paused");
    assert_eq!(steer(&fixture, &running, "resume", json!({}), 200).await["state"], "running");
    let aborted = steer(&fixture, &running, "abort", json!({}), 200).await;
    assert_eq!((&aborted["state"], &aborted["changed"]), (&json!("aborted"), &json!(1)));
    assert_eq!(states(&fixture, &ids).await.iter().filter(|state| **state == "dead").count(), 4);

    let list = fixture.json("/v1/operations?state=aborted&limit=1", 200).await;
    assert_eq!((&list["operations"][0]["id"], &list["next"]), (&running["id"], &Value::Null));
    assert_eq!(fixture.json("/v1/operations?state=failed", 200).await["operations"], json!([]));
    fixture.json(&format!("/v1/operations/{}", JobId::random()), 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn lists_go_through_all_queues_from_page_to_page() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for queue in ["emails", "invoices", "emails"] {
        let said = json!({"queue": queue, "act": "retry", "filter": {"state": "dead"}});
        ids.push(created(&fixture, said, &["counted"]).await["id"].clone());
    }
    let (mut found, mut path) = (Vec::new(), "/v1/operations?limit=1".to_owned());
    loop {
        let page = fixture.json(&path, 200).await;
        found.extend(page["operations"].as_array().unwrap().iter().map(|each| each["id"].clone()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    ids.reverse();
    assert_eq!(found, ids);
    fixture.finish().await;
}

/// Five dead jobs, the third one of another tenant, of an API that asks for a credential.
async fn bury_unseen(fixture: &Fixture) -> Vec<JobId> {
    let mut ids = Vec::new();
    for n in 1..=5 {
        let tenant = Some(if n == 3 { "blum" } else { "acme" }.to_owned());
        ids.push(fixture.enqueue("invoices", NewJob { tenant, ..job(&n.to_string(), "a") }).await);
    }
    let worker =
        Worker::start(&fixture.connector, "invoices", |_, _| async { Err(Failure::permanent("no")) });
    let queue = fixture.queue("invoices");
    let dying = async {
        let mut listener = fixture.connector.listen().await.unwrap();
        listener.subscribe(queue.keys().changes()).await.unwrap();
        while queue.counts().await.unwrap().of(State::Dead) < 5 {
            listener.next().await.expect("Redis went away");
        }
    };
    tokio::time::timeout(PATIENCE, dying).await.expect("the jobs die");
    worker.stop().await;
    ids
}

/// Principals of a tenant see and change its jobs only, and need the right of the act at every step.
#[tokio::test]
async fn an_operation_is_of_its_tenant_and_needs_the_right_of_its_act() {
    let fixture = Fixture::guarded().await;
    let ids = bury_unseen(&fixture).await;
    let of = |tenant: &str| Scope { tenants: Only::of([tenant]), ..Scope::everything() };
    let operator = token(&fixture, Role::Operator, of("acme"), Rights::default()).await;
    let foreign = token(&fixture, Role::Operator, of("blum"), Rights::default()).await;
    let viewer = token(&fixture, Role::Viewer, of("acme"), Rights::default()).await;
    let admin = token(&fixture, Role::Administrator, Scope::everything(), Rights::default()).await;
    let send = async |token: &str, method: Method, path: &str, said: Value| -> Answer {
        ask(&fixture, Some(token), method, path, &said).await
    };
    // All five jobs are named; one is of another tenant.
    let said = json!({"queue": "invoices", "act": "retry", "filter": {"ids": ids}});
    let refused = send(&viewer, Method::POST, "/v1/operations", said.clone()).await;
    assert_eq!((refused.status, &refused.body["right"]), (403, &json!(Right::Replay)));
    let answer = send(&operator, Method::POST, "/v1/operations", said).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let path = format!("/v1/operations/{}", answer.body["id"].as_str().unwrap());
    let read = async |state: &str| {
        let reading = async {
            loop {
                let answer = send(&operator, Method::GET, &path, Value::Null).await;
                if answer.body["state"] == state {
                    return answer.body;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the operation goes on")
    };
    let counted = read("counted").await;
    assert_eq!(
        (&counted["counted"]["jobs"], &counted["counted"]["reasons"]),
        (&json!(4), &json!({"unknown": 1}))
    );
    assert_eq!((&counted["filter"]["tenant"], &counted["examined"]), (&json!("acme"), &Value::Null));
    let start = format!("{path}/start");
    for (token, status) in [(&foreign, 404), (&viewer, 403)] {
        assert_eq!(send(token, Method::POST, &start, json!({})).await.status, status);
    }
    assert_eq!(send(&foreign, Method::GET, &path, Value::Null).await.status, 404);
    assert_eq!(send(&foreign, Method::GET, &format!("{path}/refusals"), Value::Null).await.status, 404);
    assert_eq!(
        send(&foreign, Method::GET, "/v1/operations", Value::Null).await.body["operations"],
        json!([])
    );
    assert_eq!(send(&admin, Method::GET, &path, Value::Null).await.status, 200);
    assert_eq!(send(&operator, Method::POST, &start, json!({})).await.status, 200);
    assert_eq!(read("done").await["changed"], 4);
    let spared = send(&admin, Method::GET, &format!("/v1/jobs/{}", ids[2]), Value::Null).await;
    assert_eq!(spared.body["state"], "dead");
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_named() {
    let fixture = Fixture::new().await;
    let dead = json!({"state": "dead"});
    for (said, parameter) in [
        (json!({"queue": "nowhere", "act": "retry", "filter": dead}), "queue"),
        (json!({"queue": "emails", "act": "retry", "filter": {}}), "filter"),
        (json!({"queue": "emails", "act": "retry", "filter": {"tenant": "acme"}}), "filter"),
        (json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "ids": []}}), "filter"),
        (json!({"queue": "emails", "act": "retry", "filter": {"ids": []}}), "ids"),
        (json!({"queue": "emails", "act": "retry", "filter": {"state": "ready"}}), "filter"),
        (
            json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "group": "no group"}}),
            "group",
        ),
        (json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "tenant": ""}}), "tenant"),
        (json!({"queue": "emails", "act": "unpark", "filter": {"state": "parked", "group": "aa"}}), "group"),
        (
            json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "condition": "a"}}),
            "condition",
        ),
        (json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "from": "soon"}}), "from"),
        (
            json!({"queue": "emails", "act": "retry", "filter": {"state": "dead", "from": "2026-03-14T09:00:00Z", "until": "2026-03-14T09:00:00Z"}}),
            "until",
        ),
        (
            json!({"queue": "emails", "act": "retry", "filter": {"ids": [JobId::random()], "kind": "a"}}),
            "kind",
        ),
        (json!({"queue": "emails", "act": "retry", "filter": dead, "pace": "2h"}), "pace"),
        (json!({"queue": "emails", "act": "retry", "filter": dead, "priority": "high"}), "priority"),
        (
            json!({"queue": "emails", "act": "cancel", "filter": {"state": "ready"}, "stop_rule": {"same_cause": 1}}),
            "stop_rule",
        ),
        (json!({"queue": "emails", "act": "prioritise", "filter": {"state": "ready"}}), "priority"),
        (json!({"queue": "emails", "act": "reschedule", "filter": {"state": "ready"}}), "delay"),
        (json!({"queue": "emails", "act": "reschedule", "filter": {"state": "ready"}, "at": "soon"}), "at"),
        (json!({"queue": "emails", "act": "waive", "filter": {"outcome": "missed"}}), "reason"),
        (json!({"queue": "emails", "act": "waive", "filter": {"outcome": "open"}, "reason": "a"}), "filter"),
    ] {
        let problem = fixture.change("/v1/operations", said.clone(), 400).await;
        assert_eq!(problem["parameter"], parameter, "{said}: {problem}");
    }
    for said in [
        json!({"queue": "emails", "filter": {"state": "dead"}}),
        json!({"queue": "emails", "act": "retry"}),
        json!({"queue": "emails", "act": "retry", "filter": {"stat": "dead"}}),
    ] {
        fixture.change("/v1/operations", said, 400).await;
    }
    fixture.json("/v1/operations?state=x", 400).await;
    fixture.json("/v1/operations/x", 400).await;
    fixture.finish().await;
}
