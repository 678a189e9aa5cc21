//! `upshot up`: everything in one process, with private servers.

use serde_json::Value;
use upshot_tests::{Process, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_its_data_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let variables: Vec<(String, String)> = [
        ("UPSHOT_DATA_DIR", data.display().to_string()),
        ("UPSHOT_API__LISTEN", "127.0.0.1:0".to_owned()),
        // Nobody listens there: the invoice waits, and waits again after the restart.
        ("UPSHOT_SMTP__URL", "smtp://127.0.0.1:1".to_owned()),
        ("UPSHOT_LOG__FORMAT", "json".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let note = || serde_json::from_slice::<Value>(&std::fs::read(data.join("up.json")).unwrap()).unwrap();

    let up = Process::start(&["up"], &variables).await;
    up.logged(&["Upshot is up"]).await;
    let api = note()["api"].as_str().unwrap().to_owned();
    let post = reqwest::Client::new()
        .post(format!("{api}/v1/events"))
        .header("content-type", "application/cloudevents+json")
        .body(order(1).to_string());
    let answer: Value = post.send().await.unwrap().json().await.unwrap();
    let job = answer["jobs"][0]["id"].as_str().unwrap().to_owned();
    up.logged(&["attempt failed", &job]).await;
    up.stop().await;
    assert!(!data.join("up.json").exists());

    let up = Process::start(&["up"], &variables).await;
    up.logged(&["Upshot is up"]).await;
    let api = note()["api"].as_str().unwrap().to_owned();
    let found: Value = reqwest::get(format!("{api}/v1/jobs/{job}")).await.unwrap().json().await.unwrap();
    assert_eq!(found["subject"], "order-1", "{found}");
    up.stop().await;
    // The servers' folders can be removed: nobody writes there any more.
    drop(folder);
}
