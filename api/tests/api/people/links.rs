//! What the capability link of an end user reaches.

use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Only, Rights, Role, Scope};
use upshot_queue::JobId;

use super::{Browser, kind};
use crate::{
    access::principals::{FOREIGN, OWN, OWN_SOURCE, ask, token},
    fixture::{Fixture, job},
};

async fn producer(fixture: &Fixture) -> String {
    let scope = Scope { tenants: Only::of([OWN]), sources: Only::of([OWN_SOURCE]), ..Scope::everything() };
    token(fixture, Role::Producer, scope, Rights::default()).await
}

async fn make(fixture: &Fixture, token: &str, said: Value) -> Value {
    let answer = ask(fixture, Some(token), Method::POST, "/v1/links", &said).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

/// A browser that has opened a link.
async fn opened<'f>(fixture: &'f Fixture, made: &Value) -> Browser<'f> {
    let mut browser = Browser::new(fixture);
    let (page, text) = made["link"].as_str().unwrap().split_once('#').unwrap();
    assert!(page.ends_with("/access"), "{page}");
    let (status, me) = browser.post("/v1/session", json!({"token": text})).await;
    assert_eq!((status, &me["kind"]), (200, &json!("link")), "{me}");
    browser
}

/// What an end user's link reaches, and what it does not.
#[tokio::test]
async fn a_link_reaches_its_job_and_nothing_else() {
    let fixture = Fixture::guarded().await;
    let own = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let other = fixture.enqueue("emails", job("2", "order.confirm")).await;
    let made = make(&fixture, &producer(&fixture).await, json!({"job": own.as_str()})).await;
    let reader = token(&fixture, Role::Administrator, Scope::everything(), Rights::default()).await;
    let path = "/v1/audit?operation=create_link";
    let acts = ask(&fixture, Some(&reader), Method::GET, path, &Value::Null).await.body;
    assert_eq!(acts["acts"][0]["target"], json!({"id": own.as_str(), "link": made["id"]}), "{acts}");
    let mut browser = opened(&fixture, &made).await;
    let (_, me) = browser.get("/v1/me").await;
    assert_eq!(me["target"], json!({"job": own.as_str()}), "{me}");
    for path in [format!("/v1/jobs/{own}"), format!("/v1/outcomes/{own}"), "/v1/subjects/order-1".to_owned()]
    {
        let (status, said) = browser.get(&path).await;
        assert_eq!(status, 200, "{path} {said}");
        assert!(!said.to_string().contains(other.as_str()), "{path} {said}");
    }
    for path in [
        format!("/v1/jobs/{other}"),
        format!("/v1/jobs/{other}/progress"),
        format!("/v1/outcomes/{other}"),
        format!("/v1/jobs/{own}/files/a.pdf"),
        "/v1/subjects/order-2".to_owned(),
    ] {
        let (status, said) = browser.get(&path).await;
        assert_eq!(status, 404, "{path} {said}");
    }
    for path in
        ["/v1/jobs", "/v1/queues", "/v1/dead", "/v1/overview", "/v1/tokens", "/v1/quarantine", "/metrics"]
    {
        let (status, said) = browser.get(path).await;
        assert_eq!((status, kind(&said)), (403, "missing-right"), "{path} {said}");
    }
    for path in [format!("/v1/jobs/{own}/cancel"), format!("/v1/jobs/{own}/retry"), "/v1/links".to_owned()] {
        let (status, said) = browser.post(&path, json!({})).await;
        assert_eq!((status, kind(&said)), (403, "missing-right"), "{path} {said}");
    }
    let (status, said) =
        browser.post("/v1/device/approve", json!({"user_code": "BBBB-BBBB", "approve": true})).await;
    assert_eq!(status, 403, "{said}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_to_a_subject_shows_its_jobs_of_the_same_tenant_and_source() {
    let fixture = Fixture::guarded().await;
    // The job of the link comes later than the link.
    let made = make(&fixture, &producer(&fixture).await, json!({"subject": "shared"})).await;
    let own = fixture.enqueue("emails", job_of("own", OWN, OWN_SOURCE)).await;
    let foreign = fixture.enqueue("emails", job_of("foreign", FOREIGN, OWN_SOURCE)).await;
    let elsewhere = fixture.enqueue("emails", job_of("elsewhere", OWN, "/shops/vienna")).await;
    let mut browser = opened(&fixture, &made).await;
    let (status, story) = browser.get("/v1/subjects/shared").await;
    assert_eq!(status, 200, "{story}");
    let said = story.to_string();
    assert!(said.contains(own.as_str()), "{said}");
    assert!(!said.contains(foreign.as_str()) && !said.contains(elsewhere.as_str()), "{said}");
    fixture.finish().await;
}

fn job_of(id: &str, tenant: &str, source: &str) -> upshot_queue::NewJob {
    let mut job = job(id, "order.confirm");
    job.subject = Some("shared".to_owned());
    job.tenant = Some(tenant.to_owned());
    for (name, value) in &mut job.labels {
        if name.as_str() == upshot_shared::intake::LABEL_SOURCE {
            source.clone_into(value);
        }
    }
    job
}

#[tokio::test]
async fn a_link_widens_nothing() {
    let fixture = Fixture::guarded().await;
    let token = producer(&fixture).await;
    let foreign = json!({"subject": "s", "tenant": FOREIGN});
    let refused = ask(&fixture, Some(&token), Method::POST, "/v1/links", &foreign).await;
    assert_eq!((refused.status, kind(&refused.body)), (403, "out-of-scope"), "{}", refused.body);
    // A job that another tenant has, and one that nobody has, are answered alike and show nothing.
    let mut of_foreign = job("9", "order.confirm");
    of_foreign.tenant = Some(FOREIGN.to_owned());
    let id = fixture.enqueue("emails", of_foreign).await;
    for id in [id.to_string(), JobId::random().to_string()] {
        let made = make(&fixture, &token, json!({"job": id})).await;
        let mut browser = opened(&fixture, &made).await;
        assert_eq!(browser.get(&format!("/v1/jobs/{id}")).await.0, 404);
    }
    let viewer =
        crate::access::principals::token(&fixture, Role::Viewer, Scope::everything(), Rights::default())
            .await;
    let refused = ask(&fixture, Some(&viewer), Method::POST, "/v1/links", &json!({"subject": "s"})).await;
    assert_eq!((refused.status, &refused.body["right"]), (403, &json!("share")), "{}", refused.body);
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_that_cannot_be_made_says_why() {
    let fixture = Fixture::guarded().await;
    let token = producer(&fixture).await;
    let two = Scope { tenants: Only::of([OWN, FOREIGN]), ..Scope::everything() };
    let two = crate::access::principals::token(&fixture, Role::Operator, two, Rights::default()).await;
    for (token, said, word) in [
        (&token, json!({}), "either `job` or `subject`"),
        (&token, json!({"job": JobId::random().as_str(), "subject": "s"}), "either `job` or `subject`"),
        (&token, json!({"job": "x"}), "`job` is `x`"),
        (&token, json!({"subject": ""}), "`subject`"),
        (&token, json!({"subject": "s", "tenant": "*"}), "`tenant` is `*`"),
        (&token, json!({"subject": "s", "lifetime": "91d"}), "api.links.most"),
        (&token, json!({"subject": "s", "lifetime": "0s"}), "api.links.most"),
        (&two, json!({"subject": "s"}), "name one of acme, zenith"),
    ] {
        let refused = ask(&fixture, Some(token), Method::POST, "/v1/links", &said).await;
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(refused.status == 400 && detail.contains(word), "{said} {detail}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_ends_when_it_is_revoked_altered_or_old() {
    let fixture = Fixture::guarded().await;
    let token = producer(&fixture).await;
    let made = make(&fixture, &token, json!({"subject": "s"})).await;
    let text = made["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let mut browser = opened(&fixture, &made).await;
    let mut replayed = opened(&fixture, &made).await;
    for altered in [format!("{text}A"), text.replace("upl_ey", "upl_ez"), text[..text.len() - 4].to_owned()] {
        let (status, said) = Browser::new(&fixture).post("/v1/session", json!({"token": altered})).await;
        assert_eq!((status, kind(&said)), (401, "unauthenticated"), "{said}");
    }
    let path = format!("/v1/links/{}", made["id"].as_str().unwrap());
    let revoked = ask(&fixture, Some(&token), Method::DELETE, &path, &Value::Null).await;
    assert_eq!((revoked.status, &revoked.body["was_valid"]), (200, &json!(true)), "{}", revoked.body);
    for browser in [&mut browser, &mut replayed] {
        assert_eq!(browser.get("/v1/me").await.0, 401);
    }
    assert_eq!(Browser::new(&fixture).post("/v1/session", json!({"token": text})).await.0, 401);
    let unknown = ask(&fixture, Some(&token), Method::DELETE, "/v1/links/abc", &Value::Null).await;
    assert_eq!((unknown.status, kind(&unknown.body)), (404, "unknown-link"), "{}", unknown.body);
    fixture.finish().await;
}

#[tokio::test]
async fn an_administrator_ends_all_links() {
    let fixture = Fixture::guarded().await;
    let token = producer(&fixture).await;
    let root = crate::access::principals::token(
        &fixture,
        Role::Administrator,
        Scope::everything(),
        Rights::default(),
    );
    let made = make(&fixture, &token, json!({"subject": "s"})).await;
    let mut browser = opened(&fixture, &made).await;
    let ended = ask(&fixture, Some(&root.await), Method::DELETE, "/v1/links", &Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.body);
    assert_eq!(browser.get("/v1/me").await.0, 401);
    fixture.finish().await;
}
