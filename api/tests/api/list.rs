//! Lists of jobs.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use upshot_queue::{Expect, Failure, Job};

use crate::{
    fixture::{Fixture, job},
    stream::Messages,
    worker::Worker,
};

/// All pages of a list, the ids of each.
async fn pages(fixture: &Fixture, path: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Value::from(path);
    while let Some(path) = next.as_str() {
        let page = fixture.json(path, 200).await;
        let ids = page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
        pages.push(ids.collect());
        next = page["next"].clone();
        assert!(pages.len() < 100, "the list does not end");
    }
    pages
}

#[tokio::test]
async fn cursors_lead_through_all_queues_and_meet_every_job_once() {
    let fixture = Fixture::new().await;
    let mut all = BTreeSet::new();
    for n in 0..12 {
        let queue = if n % 2 == 0 { "emails" } else { "invoices" };
        all.insert(fixture.enqueue(queue, job(&n.to_string(), "k")).await.to_string());
    }
    for limit in [1, 3, 6, 50] {
        let pages = pages(&fixture, &format!("/v1/jobs?limit={limit}")).await;
        let seen: Vec<&String> = pages.iter().flatten().collect();
        assert_eq!(seen.len(), 12, "limit {limit}: {pages:?}");
        assert_eq!(seen.into_iter().cloned().collect::<BTreeSet<_>>(), all);
        assert!(pages.iter().all(|page| page.len() <= limit));
    }
    let in_one = pages(&fixture, "/v1/jobs?queue=emails&limit=4&state=ready").await;
    assert_eq!(in_one.concat().len(), 6);
    fixture.finish().await;
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let fixture = Fixture::new().await;
    for (n, kind) in ["a", "b", "a", "b"].into_iter().enumerate() {
        fixture.enqueue("emails", job(&n.to_string(), kind)).await;
    }
    for (query, expected) in [
        ("kind=a", 2),
        ("subject=order-1", 1),
        ("subject=order", 0),
        ("tenant=acme&kind=b", 2),
        ("tenant=other", 0),
        ("state=dead", 0),
        ("subject=order-1&state=running", 0),
    ] {
        let found = pages(&fixture, &format!("/v1/jobs?{query}")).await.concat();
        assert_eq!(found.len(), expected, "{query}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let fixture = Fixture::new().await;
    for (query, parameter, remedy) in [
        ("state=done", "state", "scheduled, ready, running, parked, succeeded, dead or cancelled"),
        ("limit=0", "limit", "1 to 200"),
        ("limit=201", "limit", "1 to 200"),
        ("queue=nowhere", "queue", "emails, invoices"),
        ("cursor=emails", "cursor", "unchanged"),
        ("cursor=nowhere~1.2.3", "cursor", "unchanged"),
        ("tenant=", "tenant", "leave it out"),
        ("stat=dead", "stat", "state, queue, kind"),
        ("class=late", "class", "transient, throttled, permanent"),
        ("trace=abc", "trace", "32 hexadecimal digits"),
        ("since=now", "since", "RFC 3339"),
        ("since=2026-03-14T09:30:00Z&until=2026-03-13T09:30:00Z", "until", "exchange the two"),
        ("subject=a&subject_prefix=a", "subject_prefix", "not both"),
        ("subject_prefix=", "subject_prefix", "leave it out"),
        ("state=dead&state=ready", "state", "once"),
    ] {
        let problem = fixture.json(&format!("/v1/jobs?{query}"), 400).await;
        assert_eq!(problem["parameter"], parameter, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(remedy), "{query}: {detail}");
    }
    fixture.finish().await;
}

/// Jobs of two queues, kinds, tenants, routes and some subjects and traces, in several states.
async fn many(fixture: &Fixture) -> Vec<Job> {
    let (mut ids, mut moved) = (Vec::new(), BTreeSet::new());
    for n in 0..80_usize {
        let mut job = job(&n.to_string(), ["a", "b"][n % 2]);
        job.subject = Some(format!("{}-{n}", ["order", "orders", "parcel"][n % 3]));
        job.tenant = Some(["acme", "zenith"][n / 2 % 2].to_owned());
        job.trace = (n % 5 > 0).then(|| format!("00-{:032x}-{:016x}-01", n % 5, n + 1));
        job.expect = Some(Expect::new(["r", "s"][n / 4 % 2], Duration::from_secs(3600)));
        let queue = if n % 4 == 0 { "invoices" } else { "emails" };
        let id = fixture.enqueue(queue, job).await;
        if queue == "emails" {
            moved.insert(id.to_string());
        }
        ids.push((queue, id));
    }
    let jobs: Vec<String> = moved.iter().map(|id| format!("job={id}")).collect();
    let mut messages = Messages::at(fixture, &format!("/v1/stream?{}", jobs.join("&")), None).await;
    let worker = Worker::start(&fixture.connector, "emails", |job, _| async move {
        let number =
            job.subject.as_deref().and_then(|subject| subject.rsplit('-').next()?.parse::<usize>().ok());
        match number.unwrap() % 7 {
            0 | 1 => Err(Failure::permanent("no such mailbox")),
            2 => Err(Failure::transient("connection refused")),
            _ => Ok(json!({"summary": "sent", "evidence": []})),
        }
    });
    // A permanent failure may be confirmed by a second attempt, which is an hour away.
    while !moved.is_empty() {
        let message = messages.next().await.unwrap();
        if ["succeeded", "dead", "scheduled"].contains(&message.data["state"].as_str().unwrap_or_default()) {
            moved.remove(message.data["id"].as_str().unwrap());
        }
    }
    worker.stop().await;
    let mut all = Vec::new();
    for (queue, id) in ids {
        all.push(fixture.queue(queue).job(&id).await.unwrap().unwrap());
    }
    all
}

#[tokio::test]
async fn every_filter_selects_what_a_scan_of_all_jobs_does() {
    let fixture = Fixture::new().await;
    let all = many(&fixture).await;
    assert!(all.iter().map(|job| job.state.to_string()).collect::<BTreeSet<_>>().len() > 2);
    let whole = fixture.json("/v1/jobs?limit=3", 200).await;
    assert_eq!(whole["total"], json!({"jobs": 80, "is_exact": true}));
    let mut seed = 11_usize;
    let mut random = |most: usize| {
        seed = (seed * 48_271) % 2_147_483_647;
        seed % most
    };
    let mut found_some = 0;
    for _ in 0..150 {
        let (mut query, mut due) = (Vec::new(), all.iter().collect::<Vec<_>>());
        let one = all[random(all.len())].clone();
        for filter in 0..9 {
            if random(4) > 0 {
                continue;
            }
            let text = |at: i64| {
                DateTime::from_timestamp_millis(at).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true)
            };
            let has: Box<dyn Fn(&Job) -> bool + '_> = match filter {
                0 => {
                    query.push(format!("state={}", one.state));
                    Box::new(|job| job.state == one.state)
                }
                1 => {
                    query.push(format!("kind={}", one.kind));
                    Box::new(|job| job.kind == one.kind)
                }
                2 => {
                    query.push(format!("tenant={}", one.tenant.as_deref().unwrap()));
                    Box::new(|job| job.tenant == one.tenant)
                }
                3 => {
                    let route = one.expectation.unwrap().route;
                    let names = fixture.queue(one.queue.as_str()).routes().await.unwrap();
                    let mut of_route = BTreeSet::new();
                    for queue in ["emails", "invoices"] {
                        for (number, name) in fixture.queue(queue).routes().await.unwrap() {
                            if name == names[&route] {
                                of_route.insert((queue.to_owned(), number));
                            }
                        }
                    }
                    query.push(format!("route={}", names[&route]));
                    Box::new(move |job| {
                        of_route.contains(&(job.queue.to_string(), job.expectation.unwrap().route))
                    })
                }
                4 => {
                    let class = ["permanent", "transient"][random(2)];
                    query.push(format!("class={class}"));
                    Box::new(move |job| {
                        job.history.last().is_some_and(|failed| failed.class.as_str() == class)
                    })
                }
                5 => {
                    let prefix = ["order", "order-", "orders-1", "p", "x"][random(5)];
                    query.push(format!("subject_prefix={prefix}"));
                    Box::new(move |job| job.subject.as_deref().unwrap().starts_with(prefix))
                }
                6 => {
                    let trace = format!("{:032x}", random(6) + 1);
                    query.push(format!("trace={trace}"));
                    Box::new(move |job| {
                        job.trace.as_deref().is_some_and(|text| text.contains(&format!("-{trace}-")))
                    })
                }
                7 => {
                    query.push(format!("since={}", text(one.since)));
                    Box::new(|job| job.since >= one.since)
                }
                _ => {
                    let until = one.since + i64::try_from(random(3)).unwrap();
                    if query.iter().any(|text| text.starts_with("since")) && until < one.since {
                        continue;
                    }
                    query.push(format!("until={}", text(until)));
                    Box::new(move |job| job.since < until)
                }
            };
            due.retain(|job| has(job));
        }
        let limit = [2, 7, 50][random(3)];
        let path = format!("/v1/jobs?{}&limit={limit}", query.join("&"));
        let path = path.replace("?&", "?");
        let due: BTreeSet<String> = due.into_iter().map(|job| job.id.to_string()).collect();
        let first = fixture.json(&path, 200).await;
        let (total, is_exact) = (&first["total"]["jobs"], &first["total"]["is_exact"]);
        assert!(total.as_u64().unwrap() <= due.len() as u64, "{path}: {total}");
        assert!(*is_exact == false || total.as_u64() == Some(due.len() as u64), "{path}: {total}");
        let found = pages(&fixture, &path).await.concat();
        assert_eq!(found.len(), due.len(), "{path}");
        found_some += usize::from(!due.is_empty());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), due, "{path}");
    }
    assert!(found_some > 50);
    fixture.finish().await;
}
