//! The login of a device: its codes, its person, its token.

use serde_json::{Value, json};

use super::{
    Browser, kind,
    login::{fixture, log_in},
    provider::{Person, Provider},
};
use crate::fixture::Fixture;

async fn begin(fixture: &Fixture) -> Value {
    let codes = fixture.change("/v1/device", json!({"name": "ada's laptop"}), 200).await;
    assert_eq!((&codes["expires_in"], &codes["interval"]), (&json!(600), &json!(5)));
    let complete = codes["verification_uri_complete"].as_str().unwrap();
    assert!(
        complete.ends_with(&format!("/access?code={}", codes["user_code"].as_str().unwrap())),
        "{complete}"
    );
    codes
}

async fn poll(fixture: &Fixture, codes: &Value, status: u16) -> Value {
    fixture.change("/v1/device/token", json!({"device_code": codes["device_code"]}), status).await
}

#[tokio::test]
async fn a_device_gets_a_token_with_the_rights_of_its_person() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let codes = begin(&fixture).await;
    assert_eq!(kind(&poll(&fixture, &codes, 400).await), "authorization-pending");
    assert_eq!(kind(&poll(&fixture, &codes, 400).await), "slow-down");
    provider.log_in(Person::new("ada", &["ops"], &["acme"]));
    let mut browser = Browser::new(&fixture);
    assert_eq!(log_in(&mut browser).await.0, 303);
    let code = codes["user_code"].as_str().unwrap().to_lowercase();
    let (status, device) = browser.get(&format!("/v1/device?user_code={code}")).await;
    assert_eq!(
        (status, &device["name"], &device["address"]),
        (200, &json!("ada's laptop"), &json!("127.0.0.1"))
    );
    assert_eq!(browser.post("/v1/device/approve", json!({"user_code": code, "approve": true})).await.0, 204);
    // The next poll that is not too early. The device is told, because its person has answered.
    let token = loop {
        let said =
            fixture.send("POST", "/v1/device/token", &json!({"device_code": codes["device_code"]})).await;
        if said.status() == 200 {
            break crate::fixture::body(said, 200).await;
        }
        assert_eq!(kind(&crate::fixture::body(said, 400).await), "slow-down");
        redis_forgets_the_poll(&fixture).await;
    };
    assert_eq!(
        (&token["me"]["role"], &token["me"]["scope"]["tenants"]),
        (&json!("operator"), &json!(["acme"]))
    );
    assert!(token["me"]["until"].is_string(), "{token}");
    let bearer = token["token"].as_str().unwrap();
    let works = async || {
        let me = fixture.client.get(fixture.url("/v1/me")).bearer_auth(bearer).send().await.unwrap();
        me.status().as_u16()
    };
    assert_eq!(works().await, 200);
    assert_eq!(kind(&poll(&fixture, &codes, 400).await), "expired-token");
    // The token ends with the role of its person.
    provider.log_in(Person::new("ada", &["staff"], &["acme"]));
    assert_eq!(log_in(&mut Browser::new(&fixture)).await.0, 303);
    assert_eq!(works().await, 401);
    fixture.finish().await;
}

/// As if the device had waited.
async fn redis_forgets_the_poll(fixture: &Fixture) {
    let mut conn = fixture.connector.connect().unwrap();
    let pattern = format!("{}*:devices:*", fixture.connector.prefix());
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut conn).await.unwrap();
    for key in keys {
        let _: redis::RedisResult<()> =
            redis::cmd("HDEL").arg(key).arg("polled").query_async(&mut conn).await;
    }
}

#[tokio::test]
async fn a_device_that_is_refused_or_not_known_gets_nothing() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let codes = begin(&fixture).await;
    provider.log_in(Person::new("ada", &["ops"], &["acme"]));
    let mut browser = Browser::new(&fixture);
    log_in(&mut browser).await;
    let (status, unknown) =
        browser.post("/v1/device/approve", json!({"user_code": "BBBB-BBBB", "approve": true})).await;
    assert_eq!((status, kind(&unknown)), (404, "unknown-device"), "{unknown}");
    let said = json!({"user_code": codes["user_code"], "approve": false});
    assert_eq!(browser.post("/v1/device/approve", said).await.0, 204);
    assert_eq!(kind(&poll(&fixture, &codes, 400).await), "access-denied");
    let stranger = json!({"device_code": "0".repeat(64)});
    assert_eq!(kind(&poll(&fixture, &stranger, 400).await), "expired-token");
    // Without a session nobody approves, and codes are not guessed.
    let codes = begin(&fixture).await;
    let said = json!({"user_code": codes["user_code"], "approve": true});
    assert_eq!(Browser::new(&fixture).post("/v1/device/approve", said).await.0, 401);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(browser.get("/v1/device?user_code=CCCC-CCCC").await.0);
    }
    assert!(statuses.contains(&404) && statuses.ends_with(&[429]), "{statuses:?}");
    fixture.finish().await;
}
