//! API tokens: made, used, rotated, revoked.

use reqwest::Method;
use serde_json::{Value, json};
use upshot_access::{Only, Rights, Role, Scope};

use super::principals::{OWN, ask, token};
use crate::fixture::{Fixture, event};

async fn administrator(fixture: &Fixture) -> String {
    token(fixture, Role::Administrator, Scope::everything(), Rights::default()).await
}

async fn change(fixture: &Fixture, token: &str, method: Method, path: &str, said: &Value) -> (u16, Value) {
    let answer = ask(fixture, Some(token), method, path, said).await;
    (answer.status, answer.body)
}

async fn works(fixture: &Fixture, token: &str) -> bool {
    ask(fixture, Some(token), Method::GET, "/v1/me", &Value::Null).await.status == 200
}

#[tokio::test]
async fn a_token_is_made_used_rotated_and_revoked() {
    let fixture = Fixture::guarded().await;
    let root = administrator(&fixture).await;
    let said = json!({
        "name": "shop", "role": "producer", "tenants": [OWN], "sources": ["/shops/berlin"],
        "rights": ["see-arguments"], "without": ["share"], "expires_in": "90d",
    });
    let (status, made) = change(&fixture, &root, Method::POST, "/v1/tokens", &said).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["rights"], json!(["publish", "see-own", "see-arguments"]));
    let (first, id) = (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned());
    assert!(first.starts_with(&format!("upk_{id}_")) && works(&fixture, &first).await);

    let (_, listed) = change(&fixture, &root, Method::GET, "/v1/tokens", &Value::Null).await;
    let shop = listed["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "shop").unwrap();
    assert!(shop["used_at"].is_string() && shop["expires_at"].is_string(), "{shop}");
    assert!(!listed.to_string().contains(first.rsplit('_').next().unwrap()), "{listed}");

    let rotate = format!("/v1/tokens/{id}/rotate");
    let (status, rotated) = change(&fixture, &root, Method::POST, &rotate, &json!({"overlap": "1h"})).await;
    assert_eq!(status, 200, "{rotated}");
    let second = rotated["token"].as_str().unwrap().to_owned();
    assert!(works(&fixture, &first).await && works(&fixture, &second).await);
    let (_, rotated) = change(&fixture, &root, Method::POST, &rotate, &json!({"overlap": "0s"})).await;
    let third = rotated["token"].as_str().unwrap().to_owned();
    assert!(
        !works(&fixture, &first).await && !works(&fixture, &second).await && works(&fixture, &third).await
    );

    let path = format!("/v1/tokens/{id}");
    assert_eq!(change(&fixture, &root, Method::DELETE, &path, &Value::Null).await.0, 200);
    assert!(!works(&fixture, &third).await);
    assert_eq!(change(&fixture, &root, Method::DELETE, &path, &Value::Null).await.0, 404);
    fixture.finish().await;
}

#[tokio::test]
async fn nobody_gives_more_than_it_has() {
    let fixture = Fixture::guarded().await;
    let root = administrator(&fixture).await;
    let scope = Scope { tenants: Only::of([OWN]), ..Scope::everything() };
    let of_tenant = token(&fixture, Role::Administrator, scope, Rights::default()).await;
    let wide = json!({"name": "n", "role": "viewer", "tenants": ["*"]});
    let (status, said) = change(&fixture, &of_tenant, Method::POST, "/v1/tokens", &wide).await;
    assert_eq!(status, 403, "{said}");
    // The tokens of others are not there for it.
    let (_, made) = change(&fixture, &root, Method::POST, "/v1/tokens", &wide).await;
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(change(&fixture, &of_tenant, Method::DELETE, &path, &Value::Null).await.0, 404);
    let (_, listed) = change(&fixture, &of_tenant, Method::GET, "/v1/tokens", &Value::Null).await;
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1, "{listed}");
    fixture.finish().await;
}

#[tokio::test]
async fn a_token_that_cannot_be_made_says_why() {
    let fixture = Fixture::guarded().await;
    let root = administrator(&fixture).await;
    let right = json!({"name": "n", "role": "viewer", "tenants": [OWN]});
    for (field, value, words) in [
        ("name", json!(" "), "1 to 100 bytes"),
        ("role", json!("root"), "`role` is `root`"),
        ("tenants", json!([]), "`*` for all"),
        ("tenants", json!(["a\u{7}"]), "no control characters"),
        ("rights", json!(["everything"]), "see-arguments"),
        ("expires_in", json!("soon"), "30s"),
        ("role", json!("producer"), "`sources`"),
        ("secret", json!("x"), "unknown field"),
    ] {
        let mut said = right.clone();
        said[field] = value;
        let (status, answer) = change(&fixture, &root, Method::POST, "/v1/tokens", &said).await;
        let detail = answer["detail"].as_str().unwrap();
        assert_eq!(status, 400, "{field} {detail}");
        assert!(detail.contains(words), "{field} {detail}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_producer_that_was_seen_publishes_while_redis_is_away() {
    let redis = upshot_testkit::own_redis().await;
    let fixture = Fixture::guarded_on(&redis.url()).await;
    let producer = token(&fixture, Role::Producer, Scope::everything(), Rights::default()).await;
    let stranger = token(&fixture, Role::Producer, Scope::everything(), Rights::default()).await;
    let publish = |token: String, id: &'static str| {
        let fixture = &fixture;
        async move { ask(fixture, Some(&token), Method::POST, "/v1/events", &event(id)).await }
    };
    assert_eq!(publish(producer.clone(), "1").await.status, 202);
    redis.stop().await.unwrap();
    let accepted = publish(producer.clone(), "2").await;
    assert_eq!((accepted.status, &accepted.body["duplicate"]), (202, &Value::Null), "{}", accepted.body);
    assert_eq!(publish(stranger, "3").await.status, 503);
    let read = ask(&fixture, Some(&producer), Method::GET, "/v1/me", &Value::Null).await;
    assert_eq!(read.status, 503, "{}", read.body);
    fixture.finish().await;
}
