//! Settings that cannot be used are refused at start, with the remedy.

use upshot_tests::Process;

async fn refused(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: Vec<_> = variables.iter().map(owned).collect();
    let (succeeded, said) = Process::start(arguments, &variables).await.ended().await;
    assert!(!succeeded, "{arguments:?} was not refused: {said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_with_key_value_and_remedy() {
    let amqp = ("UPSHOT_AMQP_URL", "amqp://127.0.0.1:1/x");
    let redis = ("UPSHOT_REDIS_URL", "redis://127.0.0.1:1");
    refused(&["bridge"], &[], &["amqp.url", "UPSHOT_AMQP_URL", "upshot up"]).await;
    refused(&["executor"], &[amqp], &["redis.url", "UPSHOT_REDIS_URL"]).await;
    refused(&["bridge"], &[amqp, ("UPSHOT_REDIS_URL", "http://x")], &["redis.url"]).await;
    refused(
        &["bridge"],
        &[amqp, redis, ("UPSHOT_BRIDGE__BATCH", "999")],
        &["bridge.batch", "999", "1 to 256"],
    )
    .await;
    refused(
        &["bridge"],
        &[amqp, redis, ("UPSHOT_BRIDGE__BACTH", "9")],
        &["UPSHOT_BRIDGE__BACTH", "upshot settings"],
    )
    .await;
    refused(&["executor"], &[amqp, redis, ("UPSHOT_STORE__URL", "ftp://x")], &["store.url"]).await;
    refused(&["executor"], &[amqp, redis, ("UPSHOT_SMTP__URL", "mail.example")], &["smtp.url", "smtps://"])
        .await;
    refused(&["executor"], &[amqp, redis, ("UPSHOT_TEMPLATES__DIR", "/nowhere")], &["/nowhere"]).await;
    let folder = tempfile::tempdir().unwrap();
    let backtracks = r#"{"properties": {"name": {"pattern": "^(?!admin)"}}}"#;
    std::fs::write(folder.path().join("user.created.v1.schema.json"), backtracks).unwrap();
    let contracts = folder.path().display().to_string();
    refused(
        &["bridge"],
        &[amqp, redis, ("UPSHOT_CONTRACTS__DIR", &contracts)],
        &["user.created.v1.schema.json", "/properties/name", "^(?!admin)", "look-around"],
    )
    .await;
    refused(&["--config", "/nowhere.toml", "bridge"], &[], &["/nowhere.toml"]).await;
}
