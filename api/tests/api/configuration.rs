//! How a queue is worked on: shown, changed from the version that was seen, followed by workers.

use serde_json::{Value, json};
use upshot_queue::{Configuration, Limit, LimitKey, Operator};

use crate::fixture::{Fixture, body};

const PATH: &str = "/v1/queues/emails/configuration";

async fn put(fixture: &Fixture, said: &Value, status: u16) -> Value {
    body(fixture.send("PUT", PATH, said).await, status).await
}

#[tokio::test]
async fn a_configuration_is_changed_from_the_version_that_was_seen() {
    let fixture = Fixture::new().await;
    let none = fixture.json(PATH, 200).await;
    assert_eq!((&none["version"], &none["configuration"]), (&json!(0), &Value::Null));
    let mut wanted = Configuration::default().document();
    wanted["keep_dead"] = json!("60d");
    wanted["limits"] = json!({"key:smtp": {"concurrency": 4}});
    let change = json!({"configuration": wanted, "expect_version": 0, "by": "ada"});
    let first = put(&fixture, &change, 200).await;
    assert_eq!((&first["version"], &first["by"]), (&json!(1), &json!("ada")));
    let shown = fixture.get(PATH).await;
    assert_eq!(shown.headers()["etag"], "\"1\"");
    let mut shown = body(shown, 200).await;
    assert_eq!((&shown["configuration"]["keep_dead"], &shown["limits_apart"]), (&json!("60d"), &json!([])));
    // Another one who saw no version yet, and one who goes on from this.
    let conflict = put(&fixture, &json!({"configuration": wanted, "expect_version": 0}), 409).await;
    assert_eq!(conflict["code"], "version-conflict");
    assert_eq!((&conflict["expected_version"], &conflict["stored_version"]), (&json!(0), &json!(1)));
    shown["configuration"]["retries"]["transient"] = json!(7);
    let second =
        put(&fixture, &json!({"configuration": shown["configuration"], "expect_version": 1}), 200).await;
    assert_eq!(
        (&second["version"], &second["configuration"]["retries"]["transient"]),
        (&json!(2), &json!(7))
    );
    let earlier = fixture.json(&format!("{PATH}?version=1"), 200).await;
    assert_eq!(
        (&earlier["version"], &earlier["configuration"]["retries"]["transient"]),
        (&json!(1), &json!(20))
    );
    let versions: Vec<_> =
        second["versions"].as_array().unwrap().iter().map(|each| &each["version"]).collect();
    assert_eq!(versions, [&json!(2), &json!(1)]);
    let gone = fixture.json(&format!("{PATH}?version=9"), 400).await;
    assert!(gone["detail"].as_str().unwrap().contains("`version` is `9`"), "{gone}");
    fixture.finish().await;
}

#[tokio::test]
async fn the_version_may_be_an_etag() {
    let fixture = Fixture::new().await;
    let said = json!({"configuration": Configuration::default()});
    let send = async |tag: &str, status| {
        let request =
            reqwest::Client::new().put(fixture.url(PATH)).header("content-type", "application/json");
        body(request.header("if-match", tag).body(said.to_string()).send().await.unwrap(), status).await
    };
    assert_eq!(send("\"0\"", 200).await["version"], 1);
    assert_eq!(send("\"0\"", 200).await["version"], 1, "the same again is stored once");
    assert_eq!(send("\"5\"", 409).await["stored_version"], 1);
    assert!(send("newest", 400).await["detail"].as_str().unwrap().contains("if-match"));
    fixture.finish().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let fixture = Fixture::new().await;
    let with = |key: &str, value: Value| {
        let mut document = Configuration::default().document();
        document[key] = value;
        json!({"configuration": document, "expect_version": 0})
    };
    for (said, words) in [
        (with("keep_dead", json!("5s")), &["configuration.keep_dead", "at least 1m"][..]),
        (
            with("shares", json!({"high": 0.9, "normal": 0.1, "low": 0.1})),
            &["configuration.shares", "less than 1"],
        ),
        (with("keep_deaf", json!("5d")), &["configuration.keep_deaf", "not known"]),
        (with("limits", json!({"key:smtp": {"rate": -1}})), &["limits", "rate"]),
        (json!({"configuration": {}, "expect_version": 0}), &["configuration", "missing field"]),
        (json!({"configuration": Configuration::default()}), &["expect_version", "if-match"]),
    ] {
        let problem = put(&fixture, &said, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        words.iter().for_each(|word| assert!(detail.contains(word), "`{word}` is not in `{detail}`"));
    }
    assert_eq!(fixture.json(PATH, 200).await["version"], 0, "nothing was stored");
    fixture.json("/v1/queues/emials/configuration", 404).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_limit_that_was_set_since_is_shown() {
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("smtp".to_owned());
    let operator = Operator::new(fixture.queue("emails"));
    let mut wanted = Configuration::default();
    wanted.limits.insert(key.clone(), Limit::concurrency(4));
    put(&fixture, &json!({"configuration": wanted, "expect_version": 0}), 200).await;
    operator.set_limit(&key, Limit::concurrency(9)).await.unwrap();
    let shown = fixture.json(PATH, 200).await;
    assert_eq!(shown["configuration"]["limits"], json!({"key:smtp": {"concurrency": 4}}));
    assert_eq!(shown["limits_apart"][0]["key"], "key:smtp");
    assert_eq!(shown["limits_apart"][0]["concurrency"], 9);
    fixture.finish().await;
}
