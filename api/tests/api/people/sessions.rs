//! Sessions of browsers: exchanged for tokens, fixed, ended.

use reqwest::Method;
use serde_json::json;
use upshot_access::{Once, Rights, Role, Scope, Tokens, once::Kind};

use super::{Browser, kind};
use crate::{access::principals::token, fixture::Fixture};

async fn viewer(fixture: &Fixture) -> String {
    token(fixture, Role::Viewer, Scope::everything(), Rights::default()).await
}

#[tokio::test]
async fn a_browser_logs_in_with_a_token_and_out_again() {
    let fixture = Fixture::guarded().await;
    let token = viewer(&fixture).await;
    let mut browser = Browser::new(&fixture);
    assert_eq!(browser.get("/v1/me").await.0, 401);
    let (status, me) = browser.post("/v1/session", json!({"token": token})).await;
    assert_eq!((status, &me["role"]), (200, &json!("viewer")), "{me}");
    let cookies = browser.cookies().unwrap();
    assert!(cookies.starts_with("upshot-") && !cookies.contains(&token), "{cookies}");
    assert_eq!(browser.get("/v1/jobs").await.0, 200);
    let (status, refused) = browser.post("/v1/jobs/mrtu2hq6wcbcvkoxmzkhxbs7da/cancel", json!({})).await;
    assert_eq!((status, &refused["right"]), (403, &json!("cancel")), "{refused}");
    assert_eq!(browser.json(Method::DELETE, "/v1/session", None).await.0, 204);
    assert_eq!(browser.cookies(), None);
    // The cookie alone is worth nothing: the session has ended on the server.
    let (name, value) = cookies.split_once('=').unwrap();
    browser.plant(name, value);
    let (status, refused) = browser.get("/v1/me").await;
    assert_eq!(status, 401, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("log in"), "{refused}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_session_id_is_the_servers_own_and_new_at_each_login() {
    let fixture = Fixture::guarded().await;
    let token = viewer(&fixture).await;
    let mut browser = Browser::new(&fixture);
    browser.post("/v1/session", json!({"token": token})).await;
    let first = browser.cookies().unwrap();
    let (name, id) = first.split_once('=').unwrap();
    // Somebody plants an id in a browser that then logs in.
    let planted = "ab".repeat(32);
    let mut victim = Browser::new(&fixture);
    victim.plant(name, &planted);
    assert_eq!(victim.get("/v1/me").await.0, 401);
    assert_eq!(victim.post("/v1/session", json!({"token": token})).await.0, 200);
    assert!(!victim.cookies().unwrap().contains(&planted));
    let mut attacker = Browser::new(&fixture);
    attacker.plant(name, &planted);
    assert_eq!(attacker.get("/v1/me").await.0, 401);
    // A second login of the same browser ends its first session.
    browser.post("/v1/session", json!({"token": token})).await;
    assert_ne!(browser.cookies().unwrap(), first);
    attacker.plant(name, id);
    assert_eq!(attacker.get("/v1/me").await.0, 401);
    assert_eq!(browser.get("/v1/me").await.0, 200);
    fixture.finish().await;
}

#[tokio::test]
async fn a_session_ends_with_the_token_that_began_it() {
    let fixture = Fixture::guarded().await;
    let (rotated, revoked) = (viewer(&fixture).await, viewer(&fixture).await);
    let tokens = Tokens::new(&fixture.connector).unwrap();
    let (mut one, mut two) = (Browser::new(&fixture), Browser::new(&fixture));
    one.post("/v1/session", json!({"token": rotated})).await;
    two.post("/v1/session", json!({"token": revoked})).await;
    assert_eq!((one.get("/v1/me").await.0, two.get("/v1/me").await.0), (200, 200));
    tokens.rotate(rotated.split('_').nth(1).unwrap(), 0).await.unwrap();
    tokens.revoke(revoked.split('_').nth(1).unwrap()).await.unwrap();
    assert_eq!((one.get("/v1/me").await.0, two.get("/v1/me").await.0), (401, 401));
    fixture.finish().await;
}

#[tokio::test]
async fn an_api_that_nobody_administers_makes_a_one_time_token() {
    let fixture = Fixture::guarded().await;
    let first = upshot_access::keys::Keys::new(fixture.connector.prefix()).first();
    let mut conn = fixture.connector.connect().unwrap();
    let made =
        async { while !redis::cmd("EXISTS").arg(&first).query_async::<bool>(&mut conn).await.unwrap() {} };
    upshot_testkit::within("a token is made", made).await;
    // Another process makes none meanwhile.
    let once = Once::new(&fixture.connector).unwrap();
    assert!(once.make_first(60_000).await.unwrap().is_none());
    fixture.finish().await;
}

#[tokio::test]
async fn the_one_time_administrator_token_counts_once() {
    let fixture = Fixture::guarded().await;
    let once = Once::new(&fixture.connector).unwrap();
    let secret = once.put(Kind::First, &(), 60_000).await.unwrap();
    let first = format!("upb_{}", secret.expose());
    let mut browser = Browser::new(&fixture);
    let (status, me) = browser.post("/v1/session", json!({"token": first})).await;
    assert_eq!((status, &me["kind"]), (200, &json!("first_administrator")), "{me}");
    assert!(me["until"].is_string(), "{me}");
    let made = json!({"name": "me", "role": "administrator", "tenants": ["*"]});
    assert_eq!(browser.post("/v1/tokens", made).await.0, 201);
    let (status, refused) = Browser::new(&fixture).post("/v1/session", json!({"token": first})).await;
    assert_eq!((status, kind(&refused)), (401, "unauthenticated"), "{refused}");
    fixture.finish().await;
}

#[tokio::test]
async fn failed_logins_of_a_client_are_limited() {
    let fixture = Fixture::guarded().await;
    let token = viewer(&fixture).await;
    let mut browser = Browser::new(&fixture);
    for _ in 0..10 {
        let (status, _) = browser.post("/v1/session", json!({"token": "upk_000000000000_00"})).await;
        assert_eq!(status, 401);
    }
    let response = browser.send(Method::POST, "/v1/session", Some(json!({"token": token}))).await;
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    let refused = crate::fixture::body(response, 429).await;
    assert_eq!((kind(&refused), &refused["retry_after"]), ("too-often", &json!(wait)), "{refused}");
    // A program with its token is no login.
    let me = fixture.client.get(fixture.url("/v1/me")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(me.status(), 200);
    fixture.finish().await;
}

#[tokio::test]
async fn a_login_over_plain_http_beyond_loopback_is_refused_with_the_remedy() {
    let fixture = Fixture::guarded().await;
    let token = viewer(&fixture).await;
    let request = fixture.client.post(fixture.url("/v1/session")).header("host", "192.0.2.7:8080");
    let answer = request.header("content-type", "application/json").body(json!({"token": token}).to_string());
    let refused = crate::fixture::body(answer.send().await.unwrap(), 403).await;
    assert_eq!(kind(&refused), "insecure-login", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("api.public_url"), "{refused}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_principal_publishes_no_more_than_its_rate() {
    let redis = upshot_testkit::shared_redis().await.url();
    let (_, amqp) = upshot_testkit::TestRabbit::get().await.vhost();
    let fixture = Fixture::with(&redis, &amqp, |settings| {
        settings.api.auth = upshot_runtime::settings::AuthMode::Required;
        settings.api.publish_rate = 1;
    })
    .await;
    let producer = token(&fixture, Role::Producer, Scope::everything(), Rights::default()).await;
    let other = token(&fixture, Role::Producer, Scope::everything(), Rights::default()).await;
    let publish = async |token: &str, id: &str| {
        let request = fixture.client.post(fixture.url("/v1/events")).bearer_auth(token);
        let request = request.header("content-type", "application/cloudevents+json");
        request.body(crate::fixture::event(id).to_string()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(publish(&producer, "1").await, 202);
    let mut statuses = Vec::new();
    for id in ["2", "3", "4", "5"] {
        statuses.push(publish(&producer, id).await);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(publish(&other, "6").await, 202, "each principal has its own");
    fixture.finish().await;
}
