//! Lists of jobs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixture::{Fixture, job};

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
        ("state=dead&state=ready", "state", "once"),
    ] {
        let problem = fixture.json(&format!("/v1/jobs?{query}"), 400).await;
        assert_eq!(problem["parameter"], parameter, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(remedy), "{query}: {detail}");
    }
    fixture.finish().await;
}
