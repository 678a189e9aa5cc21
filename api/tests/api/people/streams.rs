//! Streams whose principal loses its right, and tickets.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::json;
use upshot_access::{Only, Rights, Role, Scope, Tokens};
use upshot_runtime::settings::AuthMode;
use upshot_testkit::{TestRabbit, shared_redis, within};

use super::{Browser, kind};
use crate::{
    access::principals::{FOREIGN, OWN, ask, token},
    fixture::{Fixture, job},
};

async fn fixture() -> Fixture {
    let (_, amqp) = TestRabbit::get().await.vhost();
    Fixture::with(&shared_redis().await.url(), &amqp, |settings| {
        settings.api.auth = AuthMode::Required;
        settings.api.sessions.recheck = Duration::from_millis(10);
    })
    .await
}

/// The first part of a stream, which shows that it is open.
async fn opened(mut response: Response) -> Response {
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("snapshot"));
    response
}

async fn ended(mut response: Response) {
    within("the stream ends", async { while response.chunk().await.unwrap().is_some() {} }).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_or_rotated() {
    let fixture = fixture().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/progress");
    let tokens = Tokens::new(&fixture.connector).unwrap();
    let own = Scope { tenants: Only::of([OWN]), ..Scope::everything() };
    let (revoked, rotated) = (
        token(&fixture, Role::Viewer, own.clone(), Rights::default()).await,
        token(&fixture, Role::Viewer, own, Rights::default()).await,
    );
    let open = async |token: &str| {
        opened(fixture.client.get(fixture.url(&path)).bearer_auth(token).send().await.unwrap()).await
    };
    let (one, two) = (open(&revoked).await, open(&rotated).await);
    tokens.revoke(revoked.split('_').nth(1).unwrap()).await.unwrap();
    ended(one).await;
    tokens.rotate(rotated.split('_').nth(1).unwrap(), 0).await.unwrap();
    ended(two).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_its_link() {
    let fixture = fixture().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/progress");
    let operator = token(&fixture, Role::Operator, Scope::everything(), Rights::default()).await;
    let mut browser = Browser::new(&fixture);
    browser.post("/v1/session", json!({"token": operator})).await;
    let stream = opened(browser.send(Method::GET, &path, None).await).await;
    assert_eq!(browser.json(Method::DELETE, "/v1/session", None).await.0, 204);
    ended(stream).await;
    let made =
        ask(&fixture, Some(&operator), Method::POST, "/v1/links", &json!({"job": id.as_str()})).await.body;
    let text = made["link"].as_str().unwrap().split_once('#').unwrap().1;
    let mut browser = Browser::new(&fixture);
    assert_eq!(browser.post("/v1/session", json!({"token": text})).await.0, 200);
    let stream = opened(browser.send(Method::GET, &path, None).await).await;
    let revoke = format!("/v1/links/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&fixture, Some(&operator), Method::DELETE, &revoke, &json!(null)).await.status, 200);
    ended(stream).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_ticket_opens_one_stream_once() {
    let fixture = fixture().await;
    let id = fixture.enqueue("emails", job("1", "order.confirm")).await;
    let path = format!("/v1/jobs/{id}/progress");
    let own = Scope { tenants: Only::of([OWN]), ..Scope::everything() };
    let viewer = token(&fixture, Role::Viewer, own, Rights::default()).await;
    let ticket = async |token: &str, path: &str| {
        let made = ask(&fixture, Some(token), Method::POST, "/v1/tickets", &json!({"path": path})).await;
        assert_eq!((made.status, &made.body["expires_in"]), (201, &json!(30)), "{}", made.body);
        made.body["ticket"].as_str().unwrap().to_owned()
    };
    let given = ticket(&viewer, &path).await;
    let address = format!("{path}?ticket={given}");
    let stream = opened(fixture.get(&address).await).await;
    let again = crate::fixture::body(fixture.get(&address).await, 401).await;
    assert!(again["detail"].as_str().unwrap().contains("used before"), "{again}");
    // For another address, and with the rights of its principal.
    let given = ticket(&viewer, &path).await;
    assert_eq!(fixture.get(&format!("/v1/jobs?ticket={given}")).await.status(), 401);
    assert_eq!(fixture.get(&format!("{path}?ticket={given}")).await.status(), 401, "it was taken");
    let foreign = Scope { tenants: Only::of([FOREIGN]), ..Scope::everything() };
    let foreign = token(&fixture, Role::Viewer, foreign, Rights::default()).await;
    let given = ticket(&foreign, &path).await;
    assert_eq!(fixture.get(&format!("{path}?ticket={given}")).await.status(), 404);
    for wrong in ["x", &"0".repeat(64)] {
        assert_eq!(fixture.get(&format!("{path}?ticket={wrong}")).await.status(), 401);
    }
    let refused =
        ask(&fixture, Some(&viewer), Method::POST, "/v1/tickets", &json!({"path": "http://a"})).await;
    assert_eq!((refused.status, kind(&refused.body)), (400, "invalid-parameter"));
    // A stream with a ticket ends with the token that made it.
    let tokens = Tokens::new(&fixture.connector).unwrap();
    tokens.revoke(viewer.split('_').nth(1).unwrap()).await.unwrap();
    ended(stream).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_is_a_credential_of_a_page_of_another_origin() {
    const SHOP: &str = "https://shop.example.org";
    let (_, amqp) = TestRabbit::get().await.vhost();
    let fixture = Fixture::with(&shared_redis().await.url(), &amqp, |settings| {
        settings.api.auth = AuthMode::Required;
        settings.api.cors_origins = vec![SHOP.to_owned()];
        settings.api.sessions.recheck = Duration::from_millis(10);
    })
    .await;
    let (own, other) = (
        fixture.enqueue("emails", job("1", "order.confirm")).await,
        fixture.enqueue("emails", job("2", "order.confirm")).await,
    );
    let operator = token(&fixture, Role::Operator, Scope::everything(), Rights::default()).await;
    let made =
        ask(&fixture, Some(&operator), Method::POST, "/v1/links", &json!({"job": own.as_str()})).await.body;
    let link = made["link"].as_str().unwrap().split_once('#').unwrap().1;
    let path = format!("/v1/jobs/{own}/progress");
    let from = async |origin: &str, path: &str| {
        let request = fixture.client.get(fixture.url(path)).header("origin", origin);
        request.bearer_auth(link).send().await.unwrap()
    };
    // The module is loaded by any page of these origins, without a credential.
    let module = fixture.client.get(fixture.url("/progress.js")).header("origin", SHOP).send().await.unwrap();
    assert_eq!(module.headers()["access-control-allow-origin"], SHOP);
    let stream = from(SHOP, &path).await;
    assert_eq!(stream.headers()["access-control-allow-origin"], SHOP);
    let stream = opened(stream).await;
    let ticketed = {
        let made = ask(&fixture, Some(link), Method::POST, "/v1/tickets", &json!({"path": path})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        opened(fixture.get(&format!("{path}?ticket={}", made.body["ticket"].as_str().unwrap())).await).await
    };
    assert_eq!(from("https://other.example.org", &path).await.status(), 403);
    assert_eq!(from(SHOP, &format!("/v1/jobs/{other}/progress")).await.status(), 404);
    assert_eq!(from(SHOP, "/v1/jobs").await.status(), 403);
    for method in [Method::POST, Method::DELETE] {
        let refused = ask(&fixture, Some(link), method, "/v1/links", &json!({"job": own.as_str()})).await;
        assert_eq!((refused.status, kind(&refused.body)), (403, "missing-right"), "{}", refused.body);
    }
    let forged = ask(&fixture, Some(&format!("{link}A")), Method::GET, &path, &json!(null)).await;
    assert_eq!((forged.status, kind(&forged.body)), (401, "unauthenticated"), "{}", forged.body);
    // Another key ends all links, and with them the streams.
    assert_eq!(ask(&fixture, Some(&operator), Method::DELETE, "/v1/links", &json!(null)).await.status, 403);
    let root = token(&fixture, Role::Administrator, Scope::everything(), Rights::default()).await;
    assert_eq!(ask(&fixture, Some(&root), Method::DELETE, "/v1/links", &json!(null)).await.status, 204);
    ended(stream).await;
    ended(ticketed).await;
    assert_eq!(from(SHOP, &path).await.status(), 401);
    fixture.finish().await;
}
