//! Queues: what is where, and what holds it back.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use upshot_queue::{Failure, JobId, Kinds, NewJob, OutboxReader, Park, Priority, WorkerOptions};

use crate::{
    fixture::{Fixture, body, job},
    stream::Messages,
    why,
    worker::{self, Worker},
};

/// One queue of the list.
async fn shown(fixture: &Fixture, name: &str) -> Value {
    let all = fixture.json("/v1/queues", 200).await;
    let queues = all["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2, "{all}");
    queues.iter().find(|queue| queue["name"] == name).cloned().unwrap()
}

#[tokio::test]
async fn figures_say_how_many_jobs_are_where() {
    let fixture = Fixture::new().await;
    for (n, priority) in [Priority::High, Priority::Normal, Priority::Normal].into_iter().enumerate() {
        let job = NewJob { priority, ..job(&n.to_string(), "order.confirm") };
        fixture.enqueue("emails", job).await;
    }
    let queue = shown(&fixture, "emails").await;
    assert_eq!((&queue["jobs"]["ready"], &queue["jobs"]["dead"]), (&json!(3), &json!(0)));
    assert_eq!(queue["ready"], json!({"critical": 0, "high": 1, "normal": 2, "low": 0}));
    assert_eq!(queue["transitions"]["enqueued"], 3);
    assert_eq!(
        (&queue["paused"], &queue["limits"], &queue["conditions"]),
        (&json!(false), &json!([]), &json!([]))
    );
    assert_eq!(shown(&fixture, "invoices").await["jobs"]["ready"], 0);
    fixture.finish().await;
}

#[tokio::test]
async fn workers_and_kinds_without_one_are_shown() {
    let fixture = Fixture::new().await;
    let none = shown(&fixture, "emails").await["workers"].clone();
    let without = json!(["order.confirm@1", "report.make@1"]);
    assert_eq!(none, json!({"count": 0, "slots": 0, "builds": [], "kinds_without_worker": without}));
    let kinds = Kinds { known: [("order.confirm".to_owned(), 1)].into(), build: "v7".to_owned() };
    let options = WorkerOptions { kinds: Some(kinds), concurrency: 3, ..worker::options("emails") };
    let done = |_, _| async { Ok::<_, Failure>(json!({"summary": "done"})) };
    let worker = Worker::start_with(&fixture.connector, options, done);
    why::until_workers(&fixture, "emails", 1).await;
    // It parks the job, of a kind that no route names.
    let parked = fixture.enqueue("emails", job("1", "order.other")).await;
    let mut messages = Messages::open(&fixture, parked.as_str(), None).await;
    messages.until(|message| message.data["state"] == "parked").await;
    let one = shown(&fixture, "emails").await["workers"].clone();
    let without = json!(["order.other@1", "report.make@1"]);
    assert_eq!(one, json!({"count": 1, "slots": 3, "builds": ["v7"], "kinds_without_worker": without}));
    worker.stop().await;
    assert_eq!(shown(&fixture, "emails").await["workers"]["count"], 0);
    fixture.finish().await;
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let fixture = Fixture::new().await;
    let paused = fixture.change("/v1/queues/emails/pause", Value::Null, 200).await;
    assert_eq!(paused["paused"], true);
    let held = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let other = fixture.enqueue("invoices", job("2", "invoice.issue")).await;
    let done = |_, _| async { Ok(json!({"summary": "done"})) };
    let workers = ["emails", "invoices"].map(|queue| Worker::start(&fixture.connector, queue, done));
    // What the other queue's worker has done meanwhile, this one could have, too.
    let mut messages = Messages::open(&fixture, other.as_str(), None).await;
    messages.until(|message| message.name == "end").await;
    assert_eq!(fixture.json(&format!("/v1/jobs/{held}"), 200).await["state"], "ready");
    let resumed = fixture.change("/v1/queues/emails/resume", json!({}), 200).await;
    assert_eq!(resumed["paused"], false);
    let mut messages = Messages::open(&fixture, held.as_str(), None).await;
    messages.until(|message| message.data["state"] == "succeeded").await;
    for worker in workers {
        worker.stop().await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn jobs_of_a_paused_kind_are_parked_until_it_is_resumed() {
    let fixture = Fixture::new().await;
    let kind = json!({"kind": "order.confirm"});
    let paused = fixture.change("/v1/queues/emails/pause", kind.clone(), 200).await;
    assert_eq!((&paused["paused"], &paused["paused_kinds"]), (&json!(false), &json!(["order.confirm"])));
    assert_eq!(paused["kind_known"], true);
    let misspelt = json!({"kind": "order.confrim"});
    assert_eq!(fixture.change("/v1/queues/emails/pause", misspelt.clone(), 200).await["kind_known"], false);
    fixture.change("/v1/queues/emails/resume", misspelt, 200).await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let worker = Worker::start(&fixture.connector, "emails", |_, _| async { Ok(json!({"summary": "done"})) });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "parked").await;
    let parked = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    assert_eq!(parked["parked"]["condition"], "resume order.confirm");
    assert!(!parked["parked"]["why"].as_str().unwrap().is_empty(), "{parked}");
    assert_eq!(fixture.json("/v1/jobs?state=parked", 200).await["jobs"][0]["id"], id.as_str());
    let conditions = &shown(&fixture, "emails").await["conditions"];
    assert_eq!(*conditions, json!([{"condition": "resume order.confirm", "jobs": 1}]));
    let problem = fixture.change(&format!("/v1/jobs/{id}/reschedule"), json!({"delay": "1s"}), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("its condition"), "{problem}");
    let resumed = fixture.change("/v1/queues/emails/resume", kind, 200).await;
    assert_eq!((&resumed["paused_kinds"], &resumed["conditions"]), (&json!([]), &json!([])));
    let done = messages.until(|message| message.name == "end").await;
    assert_eq!(done.data["state"], "succeeded");
    assert_eq!(fixture.json(&format!("/v1/jobs/{id}"), 200).await["parked"], Value::Null);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn jobs_that_their_handlers_parked_go_on_when_the_need_is_met() {
    let fixture = Fixture::new().await;
    let path = "/v1/queues/emails/unpark";
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let worker = Worker::start_any(&fixture.connector, "emails", |job, _| async move {
        if job.token == 1 {
            return Err(upshot_queue::Stop::from(Park::new("breaker:smtp", "the mail server is away")?));
        }
        Ok(json!({"summary": "done"}))
    });
    let mut messages = Messages::open(&fixture, id.as_str(), None).await;
    messages.until(|message| message.data["state"] == "parked").await;
    let parked = fixture.json(&format!("/v1/jobs/{id}"), 200).await;
    assert_eq!(
        parked["parked"],
        json!({"condition": "wait breaker:smtp", "why": "the mail server is away", "until": null})
    );
    assert_eq!(parked["waiting_for"]["reason"], "the mail server is away");
    assert_eq!(parked["attempts"], 0);
    let said = |entry: &Value| (entry["did"].clone(), entry["message"].clone());
    let mut told = parked["timeline"].as_array().unwrap().iter().map(said);
    let parking = (json!("parked"), json!("breaker:smtp: the mail server is away"));
    assert!(told.any(|said| said == parking), "{parked}");
    let conditions = &shown(&fixture, "emails").await["conditions"];
    assert_eq!(*conditions, json!([{"condition": "wait breaker:smtp", "jobs": 1}]));

    let other = fixture.change(path, json!({"condition": "breaker:sms"}), 200).await;
    assert_eq!(other, json!({"unparked": 0, "left": 0}));
    for (said, words) in [
        (json!({"condition": "resume order.confirm"}), &["`condition`", "when the kind is resumed"][..]),
        (json!({"condition": ""}), &["`condition`", "1 to 200"]),
        (json!({}), &["`condition`"]),
    ] {
        let problem = fixture.change(path, said, 400).await;
        assert_eq!(problem["code"], "invalid-parameter");
        for word in words {
            assert!(problem["detail"].as_str().unwrap().contains(word), "`{word}`: {problem}");
        }
    }
    // As it is listed.
    let met = fixture.change(path, json!({"condition": "wait breaker:smtp"}), 200).await;
    assert_eq!(met, json!({"unparked": 1, "left": 0}));
    let done = messages.until(|message| message.name == "end").await;
    assert_eq!(done.data["state"], "succeeded");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn limits_are_set_replaced_and_cleared() {
    let fixture = Fixture::new().await;
    let path = "/v1/queues/emails/limits";
    let set = async |limit: Value, status| body(fixture.send("PUT", path, &limit).await, status).await;
    let queue = set(json!({"key": "key:smtp", "concurrency": 4, "rate": 2.5, "burst": 3}), 200).await;
    assert_eq!(
        queue["limits"],
        json!([{
            "key": "key:smtp", "concurrency": 4, "rate": 2.5, "burst": 3, "weight": null,
            "running": 0, "tokens": 3, "waiting_lanes": 0
        }])
    );
    let queue = set(json!({"key": "tenant:acme", "weight": 2.0}), 200).await;
    assert_eq!(queue["limits"].as_array().unwrap().len(), 2);
    let queue = set(json!({"key": "key:smtp", "concurrency": 1}), 200).await;
    let smtp = queue["limits"].as_array().unwrap().iter().find(|limit| limit["key"] == "key:smtp").unwrap();
    assert_eq!((&smtp["concurrency"], &smtp["rate"]), (&json!(1), &Value::Null));
    for key in ["key:smtp", "tenant:acme"] {
        set(json!({"key": key, "concurrency": null}), 200).await;
    }
    assert_eq!(shown(&fixture, "emails").await["limits"], json!([]));
    for (limit, words) in [
        (json!({"key": "smtp", "concurrency": 4}), &["`key` is `smtp`", "tenant:NAME"][..]),
        (json!({"key": "key:smtp", "rate": 0}), &["rate 0", "0.000001 to 1000000"]),
        (json!({"key": "key:smtp", "burst": 3}), &["burst 3", "with a rate"]),
        (json!({"key": "key:smtp", "weight": 3}), &["weight 3", "only a tenant"]),
        (json!({"key": "queue", "concurrency": -1}), &["`concurrency` is `-1`"]),
        (json!({"concurrency": 1}), &["`key`"]),
    ] {
        let problem = set(limit, 400).await;
        for word in words {
            assert!(problem["detail"].as_str().unwrap().contains(word), "`{word}`: {problem}");
        }
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_limit_shows_what_runs_under_it_and_what_waits() {
    let fixture = Fixture::new().await;
    let limit = json!({"key": "tenant:acme", "concurrency": 1});
    body(fixture.send("PUT", "/v1/queues/emails/limits", &limit).await, 200).await;
    let first = fixture.enqueue("emails", job("1", "order.confirm")).await;
    fixture.enqueue("emails", job("2", "order.confirm")).await;
    let worker = Worker::start(&fixture.connector, "emails", |_, lease| async move {
        lease.cancelled().cancelled().await;
        Ok(json!({"summary": "stopped"}))
    });
    let mut messages = Messages::open(&fixture, first.as_str(), None).await;
    messages.until(|message| message.data["state"] == "running").await;
    let used = &shown(&fixture, "emails").await["limits"][0];
    assert_eq!((&used["running"], &used["waiting_lanes"]), (&json!(1), &json!(1)));
    for id in [JobId::derive(&["1", "order.confirm"]), JobId::derive(&["2", "order.confirm"])] {
        fixture.change(&format!("/v1/jobs/{id}/cancel"), Value::Null, 202).await;
    }
    messages.until(|message| message.name == "end").await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_queue_that_is_not_known_is_told_which_are() {
    let fixture = Fixture::new().await;
    for (method, path, said) in [
        ("POST", "/v1/queues/nowhere/pause", json!({})),
        ("POST", "/v1/queues/Bad{}/resume", json!({})),
        ("POST", "/v1/queues/nowhere/unpark", json!({"condition": "breaker:smtp"})),
        ("PUT", "/v1/queues/nowhere/limits", json!({"key": "queue"})),
    ] {
        let problem = body(fixture.send(method, path, &said).await, 404).await;
        assert_eq!(problem["code"], "unknown-queue");
        assert!(problem["detail"].as_str().unwrap().contains("emails, invoices"), "{problem}");
    }
    let problem = fixture.change("/v1/queues/emails/pause", json!({"kind": ""}), 400).await;
    assert_eq!(problem["parameter"], "kind");
    fixture.finish().await;
}

#[tokio::test]
async fn a_signal_is_sent_listed_and_contradicted() {
    let fixture = Fixture::new().await;
    let path = "/v1/queues/emails/signals";
    let signal = json!({"key": "order-1 confirmed", "tenant": "acme", "payload": {"by": "ann"}});
    let sent = fixture.change(path, signal.clone(), 200).await;
    assert_eq!(sent, json!({"result": "stored", "payload": {"by": "ann"}, "released": 0, "left": 0}));
    assert_eq!(fixture.change(path, signal, 200).await["result"], "known");
    let other = json!({"key": "order-1 confirmed", "tenant": "acme", "payload": {"by": "bob"}});
    let contradicts = fixture.change(path, other, 200).await;
    assert_eq!(
        (&contradicts["result"], &contradicts["payload"]["by"]),
        (&json!("contradicts"), &json!("ann"))
    );
    fixture.change(path, json!({"key": "doors open"}), 200).await;

    let first: Value = fixture.get(&format!("{path}?limit=1")).await.json().await.unwrap();
    let next = first["next"].as_str().unwrap();
    let second: Value = fixture.get(&format!("{path}?limit=1&cursor={next}")).await.json().await.unwrap();
    assert_eq!(second["next"], Value::Null);
    let keys: BTreeSet<&str> =
        [&first, &second].iter().map(|page| page["signals"][0]["key"].as_str().unwrap()).collect();
    assert_eq!(keys, BTreeSet::from(["doors open", "order-1 confirmed"]));
    let one: Value =
        fixture.get(&format!("{path}?key=order-1%20confirmed&tenant=acme")).await.json().await.unwrap();
    let one = &one["signals"][0];
    assert_eq!((&one["tenant"], &one["contradictions"]), (&json!("acme"), &json!(1)));
    assert_eq!(one["other"]["payload"]["by"], "bob");
    let none: Value = fixture.get(&format!("{path}?key=order-1%20confirmed")).await.json().await.unwrap();
    assert_eq!(none, json!({"signals": [], "next": null}), "it is one tenant's");

    let withdraw = format!("{path}?key=order-1%20confirmed&tenant=acme");
    for withdrawn in [true, false] {
        let said = body(fixture.send("DELETE", &withdraw, &Value::Null).await, 200).await;
        assert_eq!(said, json!({ "withdrawn": withdrawn }));
    }
    body(fixture.send("DELETE", path, &Value::Null).await, 400).await;
    assert_eq!(fixture.json(&withdraw, 200).await["signals"], json!([]));

    for (body, words) in [
        (json!({"key": "resume order.confirm"}), &["`key`", "when the kind is resumed"][..]),
        (json!({"key": ""}), &["`key`", "1 to 200"]),
        (json!({"key": "a", "tenant": ""}), &["`tenant`", "leave it out"]),
    ] {
        let problem = fixture.change(path, body, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "`{word}` is not in: {detail}");
        }
    }
    let large = json!({"key": "a", "payload": "x".repeat(70_000)});
    let large = fixture.change(path, large, 413).await;
    assert_eq!(large["code"], "body-too-large");
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    for line in [
        "upshot_queue_signals_total{queue=\"emails\",result=\"stored\"} 2\n",
        "upshot_queue_signals_total{queue=\"emails\",result=\"early\"} 2\n",
        "upshot_queue_signals_total{queue=\"emails\",result=\"contradictory\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_hides_no_other() {
    let fixture = Fixture::new().await;
    fixture.enqueue("emails", job("1", "order.confirm")).await;
    let queue = fixture.queue("invoices");
    let control = queue.keys().control();
    let mut admin = fixture.connector.connect().unwrap();
    redis::cmd("HSET").arg(control).arg("schema").arg(99).exec_async(&mut admin).await.unwrap();
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    for line in [
        "upshot_queue_up{queue=\"emails\"} 1\n",
        "upshot_queue_up{queue=\"invoices\"} 0\n",
        "upshot_queue_jobs{queue=\"emails\",state=\"ready\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(!metrics.contains("upshot_queue_jobs{queue=\"invoices\""), "{metrics}");
    redis::cmd("DEL").arg(control).exec_async(&mut admin).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_group_that_reads_the_outbox_no_more_is_seen_and_ended() {
    let fixture = Fixture::new().await;
    fixture.enqueue("emails", job("1", "order.confirm")).await;
    let queue = "emails".parse().unwrap();
    drop(OutboxReader::join(&fixture.connector, queue, "audit", "one").await.unwrap());
    let outbox = shown(&fixture, "emails").await["outbox"].clone();
    let group = &outbox["groups"][0];
    assert_eq!((&outbox["entries"], &group["name"], &group["lag"]), (&json!(1), &json!("audit"), &json!(1)));
    assert!(group["needs_since"].is_string(), "{group}");
    let metrics = fixture.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("upshot_outbox_lag{queue=\"emails\",group=\"audit\"} 1\n"), "{metrics}");
    let end = json!({"group": "audit"});
    let ended = fixture.change("/v1/queues/emails/outbox/end", end.clone(), 200).await;
    assert_eq!(ended["outbox"], json!({"entries": 1, "groups": []}));
    let unknown = fixture.change("/v1/queues/emails/outbox/end", end, 404).await;
    assert_eq!(unknown["code"], "unknown-group");
    fixture.finish().await;
}
