//! What principals of a part see: some tenants, some queues, some sources.

use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Only, Right, Rights, Role, Scope};

use super::principals::{FOREIGN, OWN, OWN_SOURCE, ask, token};
use crate::fixture::{Fixture, event, job, report};

fn tenants(names: &[&str]) -> Scope {
    Scope { tenants: Only::of(names.iter().copied()), ..Scope::everything() }
}

async fn get(fixture: &Fixture, token: &str, path: &str) -> (u16, Value) {
    let answer = ask(fixture, Some(token), Method::GET, path, &Value::Null).await;
    (answer.status, answer.body)
}

fn ids(page: &Value) -> Vec<&str> {
    let list = page["jobs"].as_array().or(page["outcomes"].as_array()).unwrap();
    list.iter().map(|each| each["id"].as_str().or(each["job"].as_str()).unwrap()).collect()
}

#[tokio::test]
async fn a_subject_that_two_tenants_use_is_two_stories() {
    let fixture = Fixture::guarded().await;
    let (own, other) = (job("1", "order.confirm"), job("1", "order.reserve"));
    let other = upshot_queue::NewJob { tenant: Some(FOREIGN.to_owned()), ..other };
    let own = fixture.enqueue("emails", own).await;
    let other = fixture.enqueue("emails", other).await;
    for (tenant, sees, lacks) in [(OWN, &own, &other), (FOREIGN, &other, &own)] {
        let token = token(&fixture, Role::Viewer, tenants(&[tenant]), Rights::default()).await;
        for path in ["/v1/subjects/order-1", "/v1/jobs?subject=order-1", "/v1/outcomes", "/v1/jobs"] {
            let (status, body) = get(&fixture, &token, path).await;
            let said = body.to_string();
            assert_eq!(status, 200, "{said}");
            assert!(said.contains(sees.as_str()) && !said.contains(lacks.as_str()), "{path} {said}");
        }
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_principal_of_several_tenants_names_one_in_lists() {
    let fixture = Fixture::guarded().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let token = token(&fixture, Role::Viewer, tenants(&[OWN, FOREIGN]), Rights::default()).await;
    let (status, body) = get(&fixture, &token, "/v1/jobs").await;
    assert_eq!(status, 400, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("give one of acme, zenith"), "{body}");
    let (_, page) = get(&fixture, &token, "/v1/jobs?tenant=acme").await;
    assert_eq!(ids(&page), [id.as_str()]);
    let (status, body) = get(&fixture, &token, "/v1/jobs?tenant=other").await;
    assert_eq!((status, body["type"].as_str().unwrap().ends_with("out-of-scope")), (403, true), "{body}");
    fixture.finish().await;
}

/// One tenant's automation does not take the room of all others and of the settings.
#[tokio::test]
async fn a_principal_of_some_tenants_makes_a_bounded_number_of_schedules() {
    let fixture = Fixture::guarded().await;
    let schedule = |name: &str, tenant: &str| json!({"name": name, "queue": "emails", "job": "order.confirm", "every": "1h", "tenant": tenant});
    let own = token(&fixture, Role::Administrator, tenants(&[OWN]), Rights::default()).await;
    let all = token(&fixture, Role::Administrator, Scope::everything(), Rights::default()).await;
    let make = async |token: &str, said: Value| {
        let answer = ask(&fixture, Some(token), Method::POST, "/v1/schedules", &said).await;
        (answer.status, answer.body["code"].clone())
    };
    for n in 0..100 {
        assert_eq!(make(&own, schedule(&format!("s{n}"), OWN)).await.0, 201);
    }
    assert_eq!(make(&own, schedule("more", OWN)).await, (507, json!("too-many-schedules")));
    assert_eq!(make(&own, schedule("s0", OWN)).await.0, 201, "the same again finds it");
    assert_eq!(make(&all, schedule("more", OWN)).await.0, 201);
    let other = token(&fixture, Role::Administrator, tenants(&[FOREIGN]), Rights::default()).await;
    assert_eq!(make(&other, schedule("theirs", FOREIGN)).await.0, 201);
    fixture.finish().await;
}

#[tokio::test]
async fn a_schedule_of_a_tenant_is_not_there_for_others() {
    let fixture = Fixture::guarded().await;
    let administrator =
        async |tenant| token(&fixture, Role::Administrator, tenants(&[tenant]), Rights::default()).await;
    let (own, other) = (administrator(OWN).await, administrator(FOREIGN).await);
    let mut said = json!({"name": "nightly", "queue": "emails", "job": "order.confirm", "every": "24h"});
    // Without a tenant it is of all tenants.
    let send = async |token: &str, method: Method, path: &str, said: &Value| {
        ask(&fixture, Some(token), method, path, said).await.status
    };
    assert_eq!(send(&own, Method::POST, "/v1/schedules", &said).await, 403);
    said["tenant"] = json!(OWN);
    assert_eq!(send(&other, Method::POST, "/v1/schedules", &said).await, 403);
    assert_eq!(send(&own, Method::POST, "/v1/schedules", &said).await, 201);
    let path = "/v1/schedules/emails/nightly";
    for (method, path) in [
        (Method::GET, path.to_owned()),
        (Method::DELETE, path.to_owned()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/resume")),
        (Method::POST, format!("{path}/run")),
    ] {
        assert_eq!(send(&other, method.clone(), &path, &json!({})).await, 404, "{method} {path}");
    }
    let mut taken = said.clone();
    taken["tenant"] = json!(FOREIGN);
    assert_eq!(send(&other, Method::PUT, path, &taken).await, 404);
    assert_eq!(send(&own, Method::PUT, path, &taken).await, 403, "it is not given away");
    let (_, list) = get(&fixture, &other, "/v1/schedules").await;
    assert_eq!(list["schedules"], json!([]));
    let (_, list) = get(&fixture, &own, "/v1/schedules").await;
    assert_eq!(list["schedules"][0]["name"], "nightly");
    fixture.finish().await;
}

#[tokio::test]
async fn a_principal_of_one_queue_sees_no_other() {
    let fixture = Fixture::guarded().await;
    let seen = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let hidden = fixture.enqueue("invoices", job("2", "invoice.issue")).await;
    let scope = Scope { queues: Only::of(["emails"]), ..Scope::everything() };
    let token = token(&fixture, Role::Administrator, scope, Rights::default()).await;
    let (_, page) = get(&fixture, &token, "/v1/jobs").await;
    assert_eq!(ids(&page), [seen.as_str()]);
    let (_, queues) = get(&fixture, &token, "/v1/queues").await;
    assert_eq!(queues["queues"].as_array().unwrap().len(), 1, "{queues}");
    assert_eq!(get(&fixture, &token, &format!("/v1/jobs/{hidden}")).await.0, 404);
    for path in ["/v1/jobs?queue=invoices", "/v1/outcomes?queue=invoices", "/v1/dead?queue=invoices"] {
        let (status, body) = get(&fixture, &token, path).await;
        assert_eq!(status, 400, "{body}");
        assert!(body["detail"].as_str().unwrap().ends_with("the queues are emails"), "{body}");
    }
    let (status, body) = get(&fixture, &token, "/v1/queues/invoices/configuration").await;
    assert!(status == 404 && !body["detail"].as_str().unwrap().contains("emails, invoices"), "{body}");
    let (status, body) = get(&fixture, &token, "/v1/quarantine").await;
    assert_eq!((status, body["type"].as_str().unwrap().ends_with("out-of-scope")), (403, true), "{body}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_producer_sees_its_own_events_and_publishes_for_itself() {
    let fixture = Fixture::guarded().await;
    let scope = Scope { sources: Only::of([OWN_SOURCE]), ..tenants(&[OWN]) };
    let token = token(&fixture, Role::Producer, scope, Rights::default()).await;
    let publish = |source: &str, tenant: Option<&str>| {
        let mut event = event("1");
        event["source"] = json!(source);
        event["tenant"] = json!(tenant);
        if tenant.is_none() {
            event.as_object_mut().unwrap().remove("tenant");
        }
        event
    };
    for (source, tenant, word) in [
        ("/shops/vienna", Some(OWN), "`source` is `/shops/vienna`"),
        (OWN_SOURCE, Some(FOREIGN), "`tenant` is `zenith`"),
        (OWN_SOURCE, None, "`tenant` is missing"),
    ] {
        let answer = ask(&fixture, Some(&token), Method::POST, "/v1/events", &publish(source, tenant)).await;
        let said = answer.body["detail"].as_str().unwrap();
        assert_eq!(answer.status, 403, "{said}");
        assert!(said.contains(word) && said.contains("was not published"), "{said}");
    }
    let accepted =
        ask(&fixture, Some(&token), Method::POST, "/v1/events", &publish(OWN_SOURCE, Some(OWN))).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let own = fixture.enqueue_event(&publish(OWN_SOURCE, Some(OWN))).await;
    assert_eq!(get(&fixture, &token, &format!("/v1/jobs/{}", own[0])).await.0, 200);
    let (status, _) = get(&fixture, &token, "/v1/outcomes?source=%2Fshops%2Fberlin&id=1").await;
    assert_eq!(status, 200);
    let others = fixture.enqueue_event(&publish("/shops/vienna", Some(OWN))).await;
    assert_eq!(get(&fixture, &token, &format!("/v1/jobs/{}", others[0])).await.0, 404);
    let (status, body) = get(&fixture, &token, "/v1/outcomes?source=%2Fshops%2Fvienna&id=1").await;
    assert_eq!(status, 404, "{body}");
    // The link of a 202 says no more about it.
    let accepted = format!("&accepted={}", chrono_now());
    let path = format!("/v1/outcomes?source=%2Fshops%2Fvienna&id=1{accepted}");
    assert_eq!(get(&fixture, &token, &path).await.0, 202);
    fixture.finish().await;
}

fn chrono_now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

#[tokio::test]
async fn a_right_to_see_lists_does_not_widen_the_sources() {
    let fixture = Fixture::guarded().await;
    fixture.enqueue("emails", job("1", "order.confirm")).await;
    let scope = Scope { sources: Only::of(["/shops/vienna"]), ..tenants(&[OWN]) };
    let more = [Right::See, Right::Replay, Right::Signal].into_iter().collect();
    let token = token(&fixture, Role::Producer, scope, more).await;
    for path in ["/v1/jobs", "/v1/outcomes", "/v1/queues", "/v1/queues/emails/signals?key=k&tenant=acme"] {
        let (status, body) = get(&fixture, &token, path).await;
        assert_eq!(
            (status, body["type"].as_str().unwrap().ends_with("out-of-scope")),
            (403, true),
            "{path} {body}"
        );
    }
    let answer = ask(
        &fixture,
        Some(&token),
        Method::POST,
        "/v1/operations",
        &json!({"queue": "emails", "act": "retry", "filter": {"state": "dead"}}),
    )
    .await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    fixture.finish().await;
}

#[tokio::test]
async fn a_duplicate_of_another_tenants_job_says_nothing_of_it() {
    let fixture = Fixture::guarded().await;
    let first = fixture.enqueue_event(&report("1", "2026-03")).await;
    let second = fixture.enqueue_event(&report("2", "2026-03")).await;
    assert_ne!(first, second);
    let foreign = token(&fixture, Role::Viewer, tenants(&[FOREIGN]), Rights::default()).await;
    let own = token(&fixture, Role::Viewer, tenants(&[OWN]), Rights::default()).await;
    for path in [format!("/v1/jobs/{}", second[0]), format!("/v1/outcomes/{}", second[0])] {
        assert_eq!(get(&fixture, &own, &path).await.0, 200, "{path}");
        let (status, body) = get(&fixture, &foreign, &path).await;
        assert!(status == 404 && !body.to_string().contains(first[0].as_str()), "{body}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn other_arguments_need_a_right_of_their_own() {
    let fixture = Fixture::guarded().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let operator = token(&fixture, Role::Operator, Scope::everything(), Rights::default()).await;
    let editor =
        token(&fixture, Role::Operator, Scope::everything(), [Right::EditArguments].into_iter().collect())
            .await;
    let path = format!("/v1/jobs/{id}/retry");
    let said = json!({"args": {"a": 1}});
    let refused = ask(&fixture, Some(&operator), Method::POST, &path, &said).await;
    assert_eq!((refused.status, &refused.body["right"]), (403, &json!("edit-arguments")), "{}", refused.body);
    let passed = ask(&fixture, Some(&editor), Method::POST, &path, &said).await;
    assert!([409, 422].contains(&passed.status), "{}", passed.body);
    fixture.finish().await;
}

#[tokio::test]
async fn a_cursor_tells_nothing_of_other_tenants() {
    let fixture = Fixture::guarded().await;
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for n in 0..12 {
        let mut job = job(&n.to_string(), "order.confirm");
        job.subject = Some("shared".to_owned());
        if n % 3 != 0 {
            job.tenant = Some(FOREIGN.to_owned());
        }
        let list = if n % 3 == 0 { &mut own } else { &mut foreign };
        list.push(fixture.enqueue("emails", job).await.to_string());
    }
    own.sort();
    let token = token(&fixture, Role::Viewer, tenants(&[OWN]), Rights::default()).await;
    for first in ["/v1/jobs?limit=1", "/v1/outcomes?limit=1", "/v1/subjects/shared?limit=1"] {
        let (mut path, mut seen) = (first.to_owned(), Vec::new());
        loop {
            let (status, page) = get(&fixture, &token, &path).await;
            assert_eq!(status, 200, "{page}");
            for id in &foreign {
                assert!(!page.to_string().contains(id.as_str()), "{path} {page}");
            }
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, own, "{first}");
    }
    // Neither an open cursor nor an altered one is taken.
    let (_, page) = get(&fixture, &token, "/v1/jobs?limit=1").await;
    let next = page["next"].as_str().unwrap();
    let last = if next.ends_with('A') { "B" } else { "A" };
    for cursor in [format!("{}{last}", &next[..next.len() - 1]), "/v1/jobs?cursor=emails~".to_owned()] {
        let (status, said) = get(&fixture, &token, &cursor).await;
        assert_eq!((status, &said["parameter"]), (400, &json!("cursor")), "{said}");
    }
    fixture.finish().await;
}
